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
];
