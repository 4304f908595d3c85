// Text of Corefiles (https://coredns.io/manual/toc/#configuration): blocks of lines, indented by four spaces.
local indented(lines) = ['    ' + line for line in lines];

local block(head, lines) = [head + ' {'] + indented(lines) + ['}'];

// The lines of a text without those that are empty.
local linesOf(text) = [line for line in std.split(text, '\n') if line != ''];

{
  block:: block,
  linesOf:: linesOf,
  // A domain with name servers of its own.
  stubDomain(domain, servers, lines):: block(domain + ':53', lines + ['forward . ' + std.join(' ', servers)]),
  // A Corefile of several blocks, of which each is a list of lines.
  text(blocks):: std.join('\n', [std.join('\n', lines) for lines in blocks]) + '\n',
  // The ports at which name servers are asked: 53, and those that stand behind their addresses.
  ports(servers):: std.set([53] + [
    std.parseInt(server[std.findSubstr(':', server)[std.length(std.findSubstr(':', server)) - 1] + 1:])
    for server in servers
    if std.length(std.findSubstr(':', server)) == 1 || std.startsWith(server, '[')
  ]),
}
