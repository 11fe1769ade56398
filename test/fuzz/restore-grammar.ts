/** Restore text read as strictly as its programs read it: whatever a name holds, nothing but our own rules may come out. */
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import { tableNames } from '../../src/dataplane/dataplane.ts';
import { ipSetRestoreText, iptablesRestoreText } from '../../src/dataplane/restore-text.ts';
import type { IpFamily } from '../../src/lib/ip.ts';

const chain = String.raw`[\w./:-]{1,28}`;
const word = String.raw`[\w./:,!%=@+\[\]-]+`;
const quoted = String.raw`"[\w @%+=:,./;>\[\]-]{0,255}"`;
const line = new RegExp(
  String.raw`^(?:\*(?:raw|mangle|nat|filter)|COMMIT||:${chain} - -|-[AI] ${chain}(?: (?:${word}|${quoted}))+)$`,
);
const member = String.raw`[\da-f.:]+(?:/\d{1,3})?(?:,(?:tcp|udp|sctp):\d{1,5})?`;
const setLine = new RegExp(
  String.raw`^(?:create cali[46]0[\w:-]{1,25} hash:(?:net|ip|ip,port|ip,port,ip) family inet6? maxelem \d+|add cali[46]0[\w:-]{1,25} ${member})$`,
);
const builtinTargets = new Set(['ACCEPT', 'DROP', 'RETURN', 'REJECT', 'MARK', 'DNAT', 'MASQUERADE']);

/** Throws where a line is none that we make, where its number is not that of the rules, or where a jump leads nowhere. */
export function checkRestoreText(dataplane: Dataplane, family: IpFamily): void {
  const text = iptablesRestoreText(dataplane, family);
  const lines = text.split('\n').slice(0, text === '' ? 0 : -1);
  for (const one of lines) if (!line.test(one)) throw new Error(`not a restore line of ours: ${JSON.stringify(one)}`);
  const { chains, hooks } = dataplane.tables[family];
  const ruleCount = tableNames
    .flatMap((table) => [...chains[table].values()])
    .reduce((n, one) => n + one.rules.length, 0);
  const written = lines.filter((one) => /^-[AI] /.test(one)).length;
  if (written !== ruleCount + hooks.length) {
    throw new Error(`${ruleCount} rules and ${hooks.length} hooks became ${written} lines`);
  }
  for (const one of lines) for (const target of targetsOf(one)) expectTarget(target, dataplane, family);
}

/** Throws where a line is not the creation of a set of ours or one member. */
export function checkSetText(dataplane: Dataplane): void {
  const text = ipSetRestoreText(dataplane);
  for (const one of text.split('\n').slice(0, -1)) {
    if (!setLine.test(one)) throw new Error(`not a line of a set of ours: ${JSON.stringify(one)}`);
  }
}

/** What is outside quotes and follows a jump. */
function targetsOf(one: string): readonly string[] {
  const bare = one.replaceAll(/"[^"]*"/g, '""');
  return [...bare.matchAll(/ (?:-j|-g|--jump|--goto) (\S+)/g)].map(([, target = '']) => target);
}

function expectTarget(target: string, { tables }: Dataplane, family: IpFamily): void {
  const isKnown = tableNames.some((table) => [...tables[family].chains[table].keys()].some((name) => name === target));
  if (!isKnown && !builtinTargets.has(target)) throw new Error(`jump to ${JSON.stringify(target)}, which is no chain`);
}
