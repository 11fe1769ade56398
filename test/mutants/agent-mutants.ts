/** Mechanisms of what the agent tells and when it looks, how to switch each off, and the test that must notice. */

import type { Mutant } from './mutant.ts';

export const agentMutants: readonly Mutant[] = [
  {
    promise: '6 one bad object',
    mechanism: 'what is refused is told to those who write Events',
    file: 'src/agent/agent.ts',
    off: ['this.#parts.reporter?.update(diagnostics, (object) => findObject(this.state, object));', ''],
    test: 'test/agent/reports.test.ts',
    killedBy: 'an object that the kernel refuses has an Event',
  },
  {
    promise: '6 one bad object',
    mechanism: 'a refused object is found by the name that messages give it',
    file: 'src/agent/find-object.ts',
    off: ['    Pod: state.pods,\n', ''],
    test: 'test/agent/reports.test.ts',
    killedBy: 'what the source says of a Pod is told on it',
  },
  {
    promise: '9 drift',
    mechanism: 'a repair is an Event on the Node',
    file: 'src/agent/kernel-keeper.ts',
    off: ['onRepair?.(report.differences.map(({ place }) => place));', ''],
    test: 'test/agent/reports.test.ts',
    killedBy: 'drift that was mended is an Event on the Node',
  },
  {
    promise: '9 drift',
    mechanism: 'Events about drift are few',
    file: 'src/kube/repair-recorder.ts',
    off: ['await this.#options.clock.sleep(periodMs, signal);', ''],
    test: 'test/agent/reports.test.ts',
    killedBy: 'drift without end is one Event in ten minutes',
  },
];
