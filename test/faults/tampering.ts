/** What other programs, and people, do to rules and sets of ours. */
import type { AgentPlace } from '../kernel/agent-process.ts';
import { inside } from '../kernel/raw-packets.ts';
import type { Random } from './random.ts';

export interface Tampering {
  readonly name: string;
  act(place: AgentPlace, random: Random): Promise<void>;
}

const iptables = (place: AgentPlace, random: Random): string =>
  `${random.of(['iptables', 'ip6tables'])}-${place.variant}`;

async function ownChains(place: AgentPlace, program: string): Promise<readonly string[]> {
  const saved = await inside(place.netns, [`${program}-save`, '-t', 'filter']);
  return [...saved.matchAll(/^:(cali-\S+)/gm)].map(([, name = '']) => name);
}

async function sets(place: AgentPlace): Promise<readonly string[]> {
  const names = (await inside(place.netns, ['ipset', 'list', '-name'])).split('\n');
  return names.filter((name) => /^cali[46]0(?!cut)/.test(name));
}

async function members(place: AgentPlace, name: string): Promise<readonly string[]> {
  const saved = await inside(place.netns, ['ipset', 'save', name]);
  return [...saved.matchAll(/^add \S+ (\S+)$/gm)].map(([, member = '']) => member);
}

export function tamperings(variant: 'nft' | 'legacy'): readonly Tampering[] {
  return [
    {
      name: 'a built-in chain is flushed',
      async act(place, random) {
        const [table, chain] = random.of([
          ['filter', 'FORWARD'],
          ['filter', 'INPUT'],
          ['raw', 'PREROUTING'],
          ['mangle', 'POSTROUTING'],
        ]);
        await inside(place.netns, [iptables(place, random), '-t', table ?? '', '-F', chain ?? '']);
      },
    },
    {
      name: 'the filter table is flushed',
      async act(place, random) {
        await inside(place.netns, [iptables(place, random), '-F']);
      },
    },
    {
      name: 'a chain of ours is flushed',
      async act(place, random) {
        const program = iptables(place, random);
        await inside(place.netns, [program, '-F', random.of(await ownChains(place, program))]);
      },
    },
    {
      name: 'a rule is inserted into a chain of ours',
      async act(place, random) {
        const program = iptables(place, random);
        await inside(place.netns, [program, '-I', random.of(await ownChains(place, program)), '-j', 'ACCEPT']);
      },
    },
    {
      name: 'a jump of ours is deleted',
      async act(place, random) {
        await inside(place.netns, [iptables(place, random), '-D', random.of(['FORWARD', 'INPUT']), '1']);
      },
    },
    {
      name: 'a set is flushed',
      async act(place, random) {
        for (const name of [...(await sets(place))].toSorted(() => random.next() - 0.5)) {
          if ((await members(place, name)).length === 0) continue;
          await inside(place.netns, ['ipset', 'flush', name]);
          return;
        }
      },
    },
    {
      name: 'a member is deleted',
      async act(place, random) {
        const name = random.of((await sets(place)).filter((one) => one.includes('programmed')));
        await inside(place.netns, ['ipset', 'del', name, random.of(await members(place, name))]);
      },
    },
    ...(variant === 'nft'
      ? [
          {
            name: 'the whole ruleset is flushed',
            act: async (place: AgentPlace) => {
              await inside(place.netns, ['nft', 'flush', 'ruleset']);
            },
          },
        ]
      : []),
  ];
}
