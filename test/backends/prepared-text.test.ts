/** While the kernel takes one transaction the text of the next one is made. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Converse } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { Chain, Rule } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, ruleOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const drop = ruleOf({ kind: 'drop' });
const accept = ruleOf({ kind: 'accept' });

/** Tells when its rules are read. */
class ToldChain implements Chain {
  readonly name: Chain['name'];
  readonly style = 'cali';
  readonly #onRead: () => void;
  readonly #rules: readonly Rule[];

  constructor({ name, rules }: Chain, onRead: () => void) {
    this.name = name;
    this.#rules = rules;
    this.#onRead = onRead;
  }

  get rules(): readonly Rule[] {
    this.#onRead();
    return this.#rules;
  }
}

/** A kernel behind an iptables-restore that stays and answers a few turns later, and what happens in the meantime. */
function setUp(): { readonly kernel: FakeKernel; readonly backend: KernelBackend; readonly events: string[] } {
  const kernel = new FakeKernel();
  const events: string[] = [];
  const converse: Converse = (argv, onLine) => {
    if (argv.includes('ipset')) throw new CommandError({ argv, code: 'ENOENT' });
    const take = async (text: string): Promise<void> => {
      const [, table] = /^\*(\w+)$/m.exec(text) ?? [];
      if (table !== undefined) {
        events.push(`${table} given`);
        for (let turns = 0; turns < 3; turns++) await turn();
        await kernel.run(['iptables-nft-restore', '--noflush'], { input: text });
        events.push(`${table} taken`);
      }
      onLine(text.trimEnd().split('\n').at(-1) ?? '');
    };
    const { promise: exited } = Promise.withResolvers<{ exitCode: number }>();
    return { pid: 1, exited, write: (text) => void take(text), kill: () => undefined };
  };
  const ownership = { services: false };
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', families: ['ipv4'], ownership, converse });
  return { kernel, backend, events };
}

test('a writer makes the text of the next transaction before the answer to the last one', async () => {
  const { kernel, backend, events } = setUp();
  const guard = new ToldChain(chainOf('cali-POSTROUTING', drop), () => events.push('mangle read'));
  const wanted = dataplaneOf({ chains: { filter: [chainOf('cali-FORWARD', drop)], mangle: [guard] } });
  await new KernelWriter({ backend }).resync(wanted);
  const fromGiven = events.slice(events.indexOf('filter given'));
  expect(new Set(fromGiven.slice(0, fromGiven.indexOf('filter taken')))).toEqual(
    new Set(['filter given', 'mangle read']),
  );
  expect(fromGiven.slice(fromGiven.indexOf('filter taken'))).toEqual(['filter taken', 'mangle given', 'mangle taken']);
  expect(kernel.table('ip', 'mangle').chain('cali-POSTROUTING')).toHaveLength(1);
});

test('text that was made for one write goes with no other', async () => {
  const { kernel, backend } = setUp();
  const writeOf = (rule: Rule) =>
    ({ kind: 'write-chains', family: 'ipv4', table: 'filter', chains: [chainOf('cali-a', rule)] }) as const;
  const [one, other] = [writeOf(drop), writeOf(accept)];
  backend.prepare(one);
  await backend.apply(other);
  expect(kernel.table('ip', 'filter').chain('cali-a')?.join()).toMatch(/ACCEPT/);
  await backend.apply(one);
  expect(kernel.table('ip', 'filter').chain('cali-a')?.join()).toMatch(/DROP/);
});
