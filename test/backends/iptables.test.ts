/** Which program is asked what, and which answers are none. */
import { describe, expect, test } from 'vitest';
import type { Argv, Converse, Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { Iptables } from '../../src/backends/iptables/iptables.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { legacyPieces, nftPieces } from '../../src/dataplane/pieces.ts';
import { chainOf, ruleOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const ownership = { services: true };
const tables = ['raw', 'mangle', 'nat', 'filter'] as const;

function answering(answer: (argv: Argv) => string): { readonly run: Run; readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    run: async (argv) => {
      await Promise.resolve();
      asked.push(argv.join(' '));
      return { stdout: answer(argv), stderr: '', durationMs: 1 };
    },
  };
}

test('transactions are as large as the variant likes them', () => {
  const { run } = answering(() => '');
  const piecesOf = (variant: 'nft' | 'legacy') => new KernelBackend({ run, variant, ownership }).pieces;
  expect([piecesOf('nft'), piecesOf('legacy')]).toEqual([nftPieces, legacyPieces]);
});

describe('native nft rules that iptables cannot read', () => {
  const comment = (table: string) => `# Table \`${table}' is incompatible, use 'nft' tool.\n`;
  const read = (text: string, which: readonly (typeof tables)[number][] = tables) =>
    new Iptables({ run: answering(() => text).run, variant: 'nft', ownership, families: ['ipv4'] }).read(which);

  test.each(tables)('in %s are an error, whether it is read alone or with all', async (table) => {
    await expect(read(`*raw\nCOMMIT\n${comment(table)}`)).rejects.toThrow(`table ${table} holds rules`);
    await expect(read(comment(table), [table])).rejects.toBeInstanceOf(CommandError);
  });

  test('in a table that we do not use are none of our business', async () => {
    expect(await read(`${comment('security')}*filter\n:cali-a - [0:0]\nCOMMIT\n`)).toHaveLength(4);
  });
});

describe('tables', () => {
  const saved = (table: string) =>
    `*${table}\n:cali-${table} - [0:0]\n-A cali-${table} -m comment --comment "a * b" -j DROP\nCOMMIT\n`;
  const whole = ({ 2: table }: Argv) => (table === undefined ? tables.map(saved).join('') : saved(table));
  const chainsOf = async (run: Run, which: readonly (typeof tables)[number][], isFirst = false) => {
    const parts = await new Iptables({ run, variant: 'nft', ownership, families: ['ipv6'], largeTable: 2 }).read(
      which,
      isFirst,
    );
    return parts.map(({ family, table, content }) => `${family} ${table} ${[...content.chains.keys()].join()}`);
  };

  test('are read by one program where all are wanted, else each by its own', async () => {
    const all = answering(whole);
    expect(await chainsOf(all.run, tables)).toEqual(tables.map((table) => `ipv6 ${table} cali-${table}`));
    expect(all.asked).toEqual(['ip6tables-nft-save']);
    const some = answering(whole);
    expect(await chainsOf(some.run, ['nat', 'filter'])).toEqual(['ipv6 nat cali-nat', 'ipv6 filter cali-filter']);
    expect(some.asked).toEqual(['ip6tables-nft-save -t nat', 'ip6tables-nft-save -t filter']);
  });

  const listed = (count: number) =>
    `table ip6 nat {\n${Array.from({ length: count }, (_, index) => `\tchain KUBE-SVC-${index} {\n\t}\n`).join('')}}\n`;

  test('beside a large one of Services are read as ever, at the start', async () => {
    const { run, asked } = answering((argv) => (argv[0] === 'nft' ? listed(3) : whole(argv)));
    expect(await chainsOf(run, ['nat', 'filter'], true)).toEqual([
      'ipv6 nat KUBE-SVC-0,KUBE-SVC-1,KUBE-SVC-2',
      'ipv6 filter cali-filter',
    ]);
    expect(asked).toEqual(['nft list chains ip6', 'ip6tables-nft-save -t filter']);
  });

  test('are large above the limit, not at it; later and without nat nobody asks', async () => {
    const { run, asked } = answering((argv) => (argv[0] === 'nft' ? listed(2) : whole(argv)));
    expect(await chainsOf(run, ['nat'], true)).toEqual(['ipv6 nat cali-nat']);
    asked.length = 0;
    await chainsOf(run, ['nat']);
    await chainsOf(run, ['filter'], true);
    expect(asked.filter((argv) => argv.startsWith('nft'))).toEqual([]);
  });

  test.each([
    ['legacy', true],
    ['nft', false],
  ] as const)('%s, Services %s: no table is too large to be read', async (variant, services) => {
    const { run, asked } = answering((argv) => (argv[0] === 'nft' ? listed(3) : whole(argv)));
    await new Iptables({ run, variant, ownership: { services }, families: ['ipv4'], largeTable: 2 }).read(
      ['nat'],
      true,
    );
    expect(asked).toEqual([`iptables-${variant}-save -t nat`]);
  });
});

test('hooks are asked of their own family’s program', async () => {
  const { run, asked } = answering(() => '-P FORWARD ACCEPT\n-A FORWARD -j KUBE-FORWARD\n');
  const iptables = new Iptables({ run, variant: 'nft', ownership });
  for (const family of ['ipv4', 'ipv6'] as const) {
    expect(await iptables.readHooks({ family, table: 'filter', chain: 'FORWARD' })).toMatchObject([
      { target: 'KUBE-FORWARD' },
    ]);
  }
  expect(await iptables.readHooks({ family: 'ipv4', table: 'nat', chain: 'INPUT' })).toEqual([]);
  expect(asked.map((argv) => argv.replace(' --wait 10', ''))).toEqual([
    'iptables-nft -t filter -S FORWARD',
    'ip6tables-nft -t filter -S FORWARD',
    'iptables-nft -t nat -S INPUT',
  ]);
});

describe('a program that stays', () => {
  const chains = {
    kind: 'write-chains',
    family: 'ipv4',
    table: 'filter',
    chains: [chainOf('cali-a', ruleOf({ kind: 'drop' }))],
  } as const;

  /** Repeats comments at once, as a session does. */
  function setUp(variant: 'nft' | 'legacy') {
    const texts: string[] = [];
    const converse: Converse = (_, onLine) => ({
      pid: 7,
      exited: new Promise(() => undefined),
      kill: () => undefined,
      write: (text) => {
        texts.push(text);
        for (const line of text.split('\n')) if (line.startsWith('# ')) onLine(line);
      },
    });
    const kernel = new FakeKernel();
    const told: number[] = [];
    const run: Run = (argv, options) => kernel.run([argv[0].replace('legacy', 'nft'), ...argv.slice(1)], options);
    const iptables = new Iptables({
      run,
      variant,
      ownership,
      converse,
      onTransaction: ({ pid }) => void told.push(pid),
    });
    return { iptables, kernel, texts, told };
  }

  test('takes whole chains, and is told of before each', async () => {
    const { iptables, kernel, texts, told } = setUp('nft');
    await iptables.apply(chains);
    expect(texts.filter((text) => text.includes('*filter'))).toHaveLength(1);
    expect([kernel.calls.length, told]).toEqual([0, [7]]);
  });

  test('is not there for the legacy variant, which gains nothing', async () => {
    const { iptables, kernel, texts } = setUp('legacy');
    await iptables.apply(chains);
    expect([kernel.calls.length, texts]).toEqual([1, []]);
  });
});
