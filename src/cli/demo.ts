import type { Command } from 'commander';
import { examples } from './examples.ts';
import type { CommandIo } from './io.ts';

/** `sluice demo`: the tour that `npm run demo` runs. */
export function addDemoCommand(program: Command, io: CommandIo): void {
  program
    .command('demo')
    .description('a tour on this machine: three pods, a policy, what it does and what it looks like in the kernel')
    .addHelpText('after', examples('sluice demo'))
    .action(async () => {
      const { runTour } = await import('./demo/tour.ts');
      await runTour(io);
    });
}
