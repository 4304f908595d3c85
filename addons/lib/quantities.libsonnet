// Quantities of bytes, as the API writes them: a number with one of the endings, of which '' is one
// (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/).
local units = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: std.pow(2, 10),
  Mi: std.pow(2, 20),
  Gi: std.pow(2, 30),
  Ti: std.pow(2, 40),
  Pi: std.pow(2, 50),
  Ei: std.pow(2, 60),
};
local number(text) =
  local parts = std.split(text, '.');
  std.parseInt(parts[0])
  + (if std.length(parts) == 1 then 0 else std.parseInt(parts[1]) / std.pow(10, std.length(parts[1])));

{
  endings:: std.objectFields(units),
  // How many bytes are said; what knobs.libsonnet takes as a 'quantity of bytes' and nothing else.
  bytes(value)::
    if std.isNumber(value) then value
    else
      local digits = std.rstripChars(value, 'kMGTPEi');
      number(digits) * units[std.substr(value, std.length(digits), std.length(value))],
}
