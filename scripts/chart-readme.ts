/** charts/sluice/README.md: the table of values, from the comments of values.yaml. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isScalar, parseDocument } from 'yaml';
import type { Pair, YAMLMap } from 'yaml';

const chart = join(import.meta.dirname, '..', 'charts', 'sluice');

interface Row {
  readonly key: string;
  readonly value: unknown;
  readonly meaning: string;
}

/** The text of the README. */
export function chartReadme(): string {
  const rows = rowsOf(readFileSync(join(chart, 'values.yaml'), 'utf8'));
  return [
    '# Chart sluice',
    '',
    '<!-- Generated from values.yaml by scripts/generate.ts. -->',
    '',
    'One agent on each node: NetworkPolicy on top of any CNI that gives a pod a veth, and on demand Services in place of',
    'kube-proxy. Installing, upgrading and taking away are in [docs/install.md](../../docs/install.md), the settings under',
    '`config` in [docs/configuration.md](../../docs/configuration.md), what can go wrong in',
    '[docs/troubleshooting.md](../../docs/troubleshooting.md).',
    '',
    '```sh',
    'helm install sluice charts/sluice -n kube-system',
    'helm test sluice -n kube-system',
    '```',
    '',
    'Unknown keys are refused (`values.schema.json`).',
    '',
    '| Key | Default | Meaning |',
    '| --- | --- | --- |',
    ...rows.map(({ key, value, meaning }) => `| \`${key}\` | \`${JSON.stringify(value)}\` | ${escape(meaning)} |`),
    '',
    '## What the pod may do',
    '',
    '| | Why |',
    '| --- | --- |',
    '| root, `NET_ADMIN`, `NET_RAW`, nothing else | rules, sets, conntrack, links; the raw socket of iptables-legacy |',
    "| `hostNetwork` | the rules are those of the node's network |",
    "| `hostPID` | the kernel's rule events name the process that wrote by the node's process ids: in a namespace of its own the agent would take its own writes for somebody else's, and compare after each |",
    '| `/proc/sys/net`, writable | forwarding and bridge settings; the /proc/sys of a container is read-only without full privilege |',
    '| `/run/xtables.lock` | one writer at a time with other users of iptables-legacy |',
    '| `/run/sluice` (`config.runDir`) | the socket, and what outlives a pod |',
    '| `/lib/modules`, read-only | iptables-legacy and the init container of `kernelModules.load`, which alone has `SYS_MODULE` |',
    '| read-only root, seccomp `RuntimeDefault`, AppArmor as the runtime sets it | |',
    '| API: get, list and watch of seven kinds; create of Events | |',
    '',
  ].join('\n');
}

/** Every key that a comment explains and that has a value of its own; sections are in the keys below them. */
export function rowsOf(text: string): readonly Row[] {
  const { contents } = parseDocument(text);
  return isMap(contents) ? rowsOfMap(contents, '', contents.commentBefore ?? '') : [];
}

function rowsOfMap(map: YAMLMap, prefix: string, firstComment: string): readonly Row[] {
  return map.items.flatMap((pair, index) => {
    const name = `${prefix}${nameOf(pair)}`;
    const own = isScalar(pair.key) ? (pair.key.commentBefore ?? '') : '';
    const meaning = wordsOf(own === '' && index === 0 ? firstComment : own);
    if (meaning === '') throw new Error(`values.yaml: ${name} has no comment that says what it means`);
    const { value } = pair;
    const isSection = isMap(value) && value.items.every(hasComment(value));
    if (isSection && value.items.length > 0) return rowsOfMap(value, `${name}.`, value.commentBefore ?? '');
    return [{ key: name, value: plain(value), meaning }];
  });
}

/** The comment above the first key of a map is the map's own. */
function hasComment(map: YAMLMap): (pair: Pair, index: number) => boolean {
  return ({ key }, index) => (isScalar(key) && key.commentBefore != null) || (index === 0 && map.commentBefore != null);
}

function nameOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : String(key);
}

function plain(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'toJSON' in value && typeof value.toJSON === 'function'
    ? value.toJSON()
    : value;
}

/** Lines of the last paragraph: what stands further above is about something else. */
function wordsOf(comment: string): string {
  const paragraph = comment.split(/\n\s*\n/).at(-1) ?? '';
  return paragraph
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim();
}

function escape(text: string): string {
  return text.replaceAll('|', '\\|');
}
