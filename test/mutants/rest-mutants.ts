/** Of a node at rest: what keeps the look at what has no events from costing anything. */

import type { Mutant } from './mutant.ts';

export const restMutants: readonly Mutant[] = [
  {
    promise: '9 drift',
    mechanism: 'the loop sleeps while the look sees nothing',
    file: 'src/agent/agent.ts',
    off: ['!(await this.kernel.seesDrift(dataplane))', 'false'],
    test: 'test/agent/agent.test.ts',
    killedBy: 'the look reads no rules',
  },
  {
    promise: '9 drift',
    mechanism: 'the look asks the ipset that stays',
    file: 'src/backends/ipset/ip-sets.ts',
    off: ['(await this.#listByStanding(known)) ??', ''],
    test: 'test/backends/standing-ipset.test.ts',
  },
  {
    promise: '9 drift',
    mechanism: 'chains of legacy tables are looked at, not hooks alone',
    file: 'src/backends/table-looks.ts',
    off: [
      'sizeOfTableDiff(diffTable(dataplane, view, view.content())) > 0',
      'diffTable(dataplane, view, view.content()).hooks.length > 0',
    ],
    test: 'test/backends/table-looks.test.ts',
    killedBy: 'finds a chain flushed',
  },
  {
    promise: '9 drift',
    mechanism: 'what is the same as when all was right is not read again',
    file: 'src/backends/table-looks.ts',
    off: ['if (view.isSettled) return false;', ''],
    test: 'test/backends/table-looks.test.ts',
    killedBy: 'what stays the same is not read again',
  },
  {
    promise: '9 drift',
    mechanism: 'what was right before a write of ours is right no more',
    file: 'src/backends/iptables/settled-tables.ts',
    off: [
      '{ writes: this.writesTo(place) + 1 }',
      '{ ...this.#entries.get(keyOf(place)), writes: this.writesTo(place) + 1 }',
    ],
    test: 'test/backends/table-looks.test.ts',
    killedBy: 'what somebody puts back',
  },
  {
    promise: '9 drift',
    mechanism: 'a look that a write overtakes settles nothing',
    file: 'src/backends/iptables/settled-tables.ts',
    off: ['if (writes === this.writesTo(place)) ', ''],
    test: 'test/backends/table-looks.test.ts',
    killedBy: 'a look that a write overtakes',
  },
  {
    promise: '9 drift',
    mechanism: 'what is refused is no drift of a legacy table',
    file: 'src/backends/iptables/iptables.ts',
    off: ['if (!(error instanceof RefusedError)) this.#settled.written(write);', 'this.#settled.written(write);'],
    test: 'test/backends/table-looks.test.ts',
    killedBy: 'what the kernel has refused',
  },
  {
    promise: '9 drift',
    mechanism: 'a look at a large legacy table costs a hundredth of the time',
    file: 'src/backends/table-looks.ts',
    off: ['at: size < this.#smallSize ? 0 : ended + rest', 'at: size < 0 ? 0 : ended + rest * 0'],
    test: 'test/backends/table-looks.test.ts',
    killedBy: 'a large table is looked at',
  },
  {
    promise: 'told',
    mechanism: 'what a write waits for is told before it is tried again',
    file: 'src/backends/kernel-writer.ts',
    off: ['if (error instanceof CommandError) this.#onFailedTry?.(error);', ''],
    test: 'test/backends/passing-failure.test.ts',
    killedBy: 'what is waited for is told at once',
  },
];
