// A value as YAML, the same from each implementation of jsonnet: that of std.manifestYamlDoc with bare keys differs between
// them, and takes the reference implementation seconds for a pod.
//
// A text is bare where YAML 1.1 and 1.2 read it as a text and nothing else: letters, digits and a few signs, begun with a
// letter or a slash (https://yaml.org/type/). Lines that end with a line break are a block; all else is quoted as in JSON.
local known(signs) = { [sign]: null for sign in std.stringChars(signs) };
local letters = known('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/');
local bare = letters + known('0123456789._-');
local words = { [word]: null for word in ['true', 'false', 'yes', 'no', 'on', 'off', 'y', 'n', 'null'] };
local only(text, fits) = std.filter(function(sign) !fits(sign), std.stringChars(text)) == [];

local isBare(text) =
  local length = std.length(text);
  length > 0
  && length < 100
  && text[0] in letters
  && only(text, function(sign) sign in bare)
  && !(std.asciiLower(text) in words);
local isBlock(text) =
  local end = std.length(text) - 1;
  end > 0
  && text[end] == '\n'
  && text[end - 1] != '\n'
  && text[0] != ' '
  && text[0] != '\n'
  && only(text, function(sign) (sign >= ' ' && sign <= '~') || sign == '\n');

// Signs that JSON lets stand and YAML does not print (https://yaml.org/spec/1.1/#c-printable), and its other line breaks.
local odd(sign) =
  local code = std.codepoint(sign);
  (code >= 127 && code < 160) || code == 8232 || code == 8233 || code == 65279 || code == 65534 || code == 65535;
local quoted(text) =
  std.join('', [if odd(sign) then '\\u%04x' % std.codepoint(sign) else sign for sign in std.stringChars(std.escapeStringJson(text))]);

local scalar(value, indent) =
  if !std.isString(value) then std.manifestJsonMinified(value)
  else if isBare(value) then value
  else if isBlock(value) then
    std.join('\n', ['|'] + [if line == '' then '' else indent + line for line in std.split(value[:std.length(value) - 1], '\n')])
  else quoted(value);

// A list in a map stands below its key, as kubectl writes it; an empty one stands beside it.
local text(value, indent) =
  if std.isObject(value) && std.length(value) > 0 then
    std.join('\n' + indent, [
      local one = value[key];
      (if isBare(key) then key else quoted(key)) + ':' + (
        if std.isObject(one) && std.length(one) > 0 then '\n%s  ' % indent + text(one, indent + '  ')
        else if std.isArray(one) && one != [] then '\n' + indent + text(one, indent)
        else ' ' + scalar(one, indent + '  ')
      )
      for key in std.objectFields(value)
    ])
  else if std.isArray(value) && value != [] then
    std.join('\n' + indent, ['- ' + text(one, indent + '  ') for one in value])
  else scalar(value, indent);

// A map or a list as a document.
function(value) text(value, '') + '\n'
