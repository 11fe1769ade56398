/** Runs programs, and counts those that write to the kernel. */
import type { Run } from '../backends/exec.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export function countingRun(run: Run, metrics: Metrics): Run {
  return async (argv, options) => {
    const [program] = argv;
    if (options?.input === undefined || isReading(options.input)) return run(argv, options);
    metrics.restoreCalls.inc({ program });
    try {
      return await run(argv, options);
    } catch (error) {
      metrics.restoreErrors.inc({ program });
      throw error;
    }
  };
}

/** `ipset restore` that is only asked to save: one process reads many sets that way. */
function isReading(input: string): boolean {
  return input.startsWith('save ');
}
