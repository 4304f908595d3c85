// What an addon can be told: `known` with what the spec and clusters/<c>/addons.jsonnet say laid over it.
//
// Maps merge deeply and lists replace. A known value of null takes anything, an empty map takes any map whole.
// What is not known, or has another type, ends the evaluation; render finds the nearest name for the message.
local fail(path, what) = error 'addons.%s %s' % [path, what];

local merged(path, known, params) =
  local typeless(value) = value == null;
  if std.type(params) != 'object' then
    fail(path, 'is a %s; it must be a map of knobs' % std.type(params))
  else
    local unknown = std.filter(function(key) !std.objectHas(known, key), std.objectFields(params));
    if unknown != [] then
      fail(path + '.' + unknown[0], 'is no knob; known are: ' + std.join(', ', std.objectFields(known)))
    else {
      [key]:
        if !std.objectHas(params, key) then known[key]
        else if typeless(known[key]) || typeless(params[key]) then params[key]
        else if std.type(params[key]) != std.type(known[key]) then
          fail(
            path + '.' + key,
            'is a %s; it must be a %s, like %s' % [
              std.type(params[key]),
              std.type(known[key]),
              std.manifestJsonMinified(known[key]),
            ]
          )
        else if std.isObject(known[key]) && known[key] != {} then merged(path + '.' + key, known[key], params[key])
        else params[key]
      for key in std.objectFields(known)
    };

function(addon, known, params) merged(addon, known, params)
