/**
 * One form for a KUBE rule as kube-proxy writes it and as iptables-save prints it, for comparison alone. Never read for meaning:
 * two rules with the same form do the same.
 */

const aliases: Readonly<Record<string, string>> = {
  '--source': '-s',
  '--src': '-s',
  '--destination': '-d',
  '--dst': '-d',
  '--in-interface': '-i',
  '--out-interface': '-o',
  '--protocol': '-p',
  '--jump': '-j',
  '--goto': '-g',
  '--source-port': '--sport',
  '--destination-port': '--dport',
  '--source-ports': '--sports',
  '--destination-ports': '--dports',
};

/** What iptables-save adds to a rule that was written without it. */
const defaults: ReadonlySet<string> = new Set([
  '--rsource',
  '--mask 255.255.255.255',
  '--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  '--reject-with icmp-port-unreachable',
  '--reject-with icmp6-port-unreachable',
]);

interface Option {
  readonly name: string;
  readonly negated: boolean;
  readonly values: readonly string[];
}

/** `rule` is without `-A CHAIN`. */
export function normaliseKubeRule(rule: string): string {
  return options(words(rule))
    .filter(({ name }) => name !== '-m' && name !== '--match')
    .map(canonicalOption)
    .filter((text) => !defaults.has(text))
    .sort()
    .join(' ');
}

/** Splits at spaces outside double quotes; iptables-save escapes quotes and backslashes inside them. */
function words(text: string): readonly string[] {
  const found = text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  return found.map((word) => (word.startsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, '$1') : word));
}

function options(tokens: readonly string[]): readonly Option[] {
  const found: Option[] = [];
  let index = 0;
  while (index < tokens.length) {
    const negated = tokens[index] === '!';
    if (negated) index += 1;
    const name = tokens[index] ?? '';
    const end = endOfValues(tokens, index + 1, name);
    found.push({ name: aliases[name] ?? name, negated, values: tokens.slice(index + 1, end) });
    index = end;
  }
  return found;
}

/** A comment is one word, whatever it starts with. */
function endOfValues(tokens: readonly string[], start: number, name: string): number {
  if (name === '--comment') return start + 1;
  let end = start;
  while (end < tokens.length && !/^(?:!|-.*)$/.test(tokens[end] ?? '')) end += 1;
  return end;
}

function canonicalOption({ name, negated, values }: Option): string {
  const [first = '', ...rest] = values;
  const [option, value] = canonicalValue(name, first);
  return [...(negated ? ['!'] : []), option, ...(value === '' ? [] : [value]), ...rest].join(' ');
}

function canonicalValue(name: string, value: string): readonly [option: string, value: string] {
  switch (name) {
    case '-s':
    case '-d':
      return [name, value.replace(value.includes(':') ? /\/128$/ : /\/32$/, '')];
    case '--mark':
      return [name, markAndMask(value)];
    case '--or-mark':
      return ['--set-xmark', `${hex(Number(value))}/${hex(Number(value))}`];
    case '--xor-mark':
      return ['--set-xmark', `${hex(Number(value))}/0x0`];
    case '--set-xmark':
      return [name, markAndMask(value)];
    case '--probability':
      return [name, String(Math.round(Number(value) * 2 ** 31))]; // the kernel's resolution
    case '--ctstate':
      return [name, value.split(',').sort().join(',')];
    default:
      return [name, value];
  }
}

function markAndMask(text: string): string {
  const [value = '0', mask = '0xffffffff'] = text.split('/');
  return `${hex(Number(value))}/${hex(Number(mask))}`;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
