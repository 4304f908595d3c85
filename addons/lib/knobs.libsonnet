// What an addon can be told in clusters/<c>/addons.jsonnet: its defaults, with what is said there laid over them.
//
// Maps merge deeply and lists replace. A knob takes what is like its default, or one of the kinds that `oneOf` names
// with it; numbers are whole and not below 0. What the addon's section of cluster.yaml says cannot be said here: its
// rules, the firewall and the checks read it there. A fault ends the evaluation; render places it and finds the nearest
// name.
local quantities = import 'quantities.libsonnet';

local fail(path, what) = error 'addons.%s %s' % [path, what];

local among(signs, text) = text != '' && std.all([std.member(signs, sign) for sign in std.stringChars(text)]);
local digits(text) = among('0123456789', text);
local decimal(text) =
  local parts = std.split(text, '.');
  std.length(parts) <= 2 && std.all([digits(part) for part in parts]);
// A number with one of the endings, of which '' is one.
local quantity(endings, value) = std.isString(value) && std.any([
  std.endsWith(value, ending) && decimal(std.substr(value, 0, std.length(value) - std.length(ending)))
  for ending in endings
]);
local whole(value) = std.isNumber(value) && value >= 0 && std.floor(value) == value;
local items(value, fits) = std.isArray(value) && std.all([fits(item) for item in value]);
local members(value, fits) = std.isObject(value) && std.all([fits(value[key]) for key in std.objectFields(value)]);

// What each kind takes, by the words of the message.
local kinds = {
  'null': function(value) value == null,
  boolean: std.isBoolean,
  string: std.isString,
  'whole number': whole,
  percentage: function(value)
    std.isString(value) && std.endsWith(value, '%') && digits(std.substr(value, 0, std.length(value) - 1)),
  'list of strings': function(value) items(value, std.isString),
  'list of maps': function(value) items(value, std.isObject),
  'list of whole numbers': function(value) items(value, whole),
  map: std.isObject,
  'map of strings': function(value) members(value, std.isString),
  'map of lists of strings': function(value) members(value, function(list) items(list, std.isString)),
  'quantity of CPU': function(value) (std.isNumber(value) && value > 0) || quantity(['', 'm'], value),
  'quantity of bytes': function(value) whole(value) || quantity(quantities.endings, value),
};
local kindOf(value) = {
  boolean: 'boolean',
  string: 'string',
  number: 'whole number',
  object: 'map',
  'null': 'null',
  array:
    if value == [] then error 'a knob that is an empty list needs oneOf'
    else { string: 'list of strings', object: 'list of maps', number: 'list of whole numbers' }[std.type(value[0])],
}[std.type(value)];

local isDeclared(known) = std.isObject(known) && std.objectHasAll(known, 'oneOf');
local plain(known) =
  if isDeclared(known) then known.default
  else if std.isObject(known) then std.mapWithKey(function(_, value) plain(value), known)
  else known;

local said(value) =
  local words = { object: 'the map ', array: 'the list ', 'null': '' };
  local type = std.type(value);
  local text = std.manifestJsonMinified(value);
  (if std.objectHas(words, type) then words[type] else 'the %s ' % type)
  + (if std.length(text) > 60 then text[:60] + '…' else text);
local article(kind) = if kind == 'null' then 'null' else 'a ' + kind;
local checked(path, kinds_, like, value) =
  if std.any([kinds[kind](value) for kind in kinds_]) then value
  else fail(path, 'is %s; it must be %s, like %s' % [
    said(value),
    std.join(' or ', [article(kind) for kind in kinds_]),
    std.manifestJsonMinified(like),
  ]);

local unknown(path, key, known) =
  fail('%s.%s' % [path, key], 'is no knob; known are: ' + std.join(', ', std.set(known)));

// What containers ask for and may use at most: each resource, though the default names another.
local resources(path, known, value) =
  local kind = { cpu: 'quantity of CPU', memory: 'quantity of bytes', 'ephemeral-storage': 'quantity of bytes' };
  local like = { cpu: '100m', memory: '128Mi', 'ephemeral-storage': '1Gi' };
  local parts = ['limits', 'requests'];
  local strange = [part for part in std.objectFields(value) if !std.member(parts, part)];
  if strange != [] then unknown(path, strange[0], parts)
  else known {
    [part]+:
      local there = '%s.%s' % [path, part];
      checked(there, ['map'], { memory: '128Mi' }, value[part]) {
        [name]:
          if std.objectHas(kind, name)
          then checked('%s.%s' % [there, name], [kind[name]], like[name], value[part][name])
          else unknown(there, name, std.objectFields(kind))
        for name in std.objectFields(checked(there, ['map'], { memory: '128Mi' }, value[part]))
      }
    for part in std.objectFields(value)
  };

local merged(path, known, params, elsewhere={}) =
  local names = std.objectFields(known);
  local checkedParams = checked(path, ['map'], { image: 'registry.example.net/image:1' }, params);
  local both = [key for key in std.objectFields(checkedParams) if std.objectHas(elsewhere, key)];
  local strange = [key for key in std.objectFields(checkedParams) if !std.objectHas(known, key)];
  if both != [] then fail('%s.%s' % [path, both[0]], 'is set in cluster.yaml; write it there')
  else if strange != [] then unknown(path, strange[0], names + std.objectFields(elsewhere))
  else {
    [key]:
      local there = '%s.%s' % [path, key], default = known[key], value = params[key];
      if !std.objectHas(params, key) then plain(default)
      else if isDeclared(default) then
        local taken = checked(there, default.oneOf, default.like, value);
        if std.isObject(taken) && std.isObject(default.default) then default.default + taken else taken
      else if std.isObject(default) && default != {} then
        if std.endsWith(std.asciiLower(key), 'resources')
        then resources(there, default, checked(there, ['map'], default, value))
        else merged(there, default, checked(there, ['map'], plain(default), value))
      else checked(there, [kindOf(default)], default, value)
    for key in names
  };

{
  // A default that takes other kinds too, or whose own does not show its kind; a map takes keys that it has not.
  // `like` is an example for the message.
  oneOf(default, kinds, like=default):: { oneOf:: kinds, default:: default, like:: like },
  percentage(default):: self.oneOf(default, ['whole number', 'percentage']),
  strings:: self.oneOf([], ['list of strings'], ['text']),
  maps:: self.oneOf([], ['list of maps'], [{ key: 'text' }]),
  labels(default={}):: self.oneOf(default, ['map of strings'], { key: 'text' }),

  // The section of cluster.yaml and the knobs of addons.jsonnet together: the addon's configuration.
  told(addon, section, defaults, params):: section + merged(addon, defaults, params, section),
}
