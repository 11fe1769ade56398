/** From a changed policy to the end of the open connections that it denies, on a node with 100,000 tracked ones. A connection that is wrongly cut, or not, is an error. */
import { cutAgainAndAgain, deniedConversations, isDeniedMember } from '../test/kernel/full-conntrack.ts';
import { type BenchRow, percentileRows } from './row.ts';

export async function benchCut(samples: number): Promise<readonly BenchRow[]> {
  const times: number[] = [];
  const cpu: number[] = [];
  await cutAgainAndAgain({
    rounds: samples,
    onRound: ({ lastMs, cpuMs, members }) => {
      if (members.length !== deniedConversations || !members.every(isDeniedMember)) {
        throw new Error(`${members.length} conversations were cut, expected ${deniedConversations} others`);
      }
      times.push(lastMs);
      cpu.push(cpuMs);
    },
  });
  return [...percentileRows('cut/100000-entries', 'ms', times), ...percentileRows('cut/100000-entries/cpu', 'ms', cpu)];
}
