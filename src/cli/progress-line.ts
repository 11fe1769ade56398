/** One line that is written over on a terminal; elsewhere a line for each finished step. */
import type { LabProgress } from '../lab/lab.ts';
import type { CommandIo } from './io.ts';

const words: Readonly<Record<LabProgress['step'], string>> = {
  nodes: 'nodes wired',
  pods: 'pods wired',
  agents: 'agents started',
  programmed: 'pods programmed',
};

export function progressLine(io: CommandIo): (progress: LabProgress) => void {
  const isTerminal = process.stderr.isTTY;
  let last = '';
  return ({ step, done, total }) => {
    const line = `lab: ${done} of ${total} ${words[step]}`;
    if (line === last) return;
    last = line;
    if (isTerminal) io.error(`\r\u001B[K${line}${step === 'programmed' && done === total ? '\n' : ''}`);
    else if (done === total) io.error(`${line}\n`);
  };
}
