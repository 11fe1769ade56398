/** Entry of the process that a background lab lives in; `labUp` starts it with the options as its one argument. */
import { ManifestError } from '../manifests/manifest-error.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { LabProblem } from './lab-error.ts';
import { LabError } from './lab-error.ts';
import type { LabOptions } from './options.ts';
import type { LabMessage } from './up.ts';
import { holdLab } from './up.ts';

const logger = createLogger('info').child({ part: 'lab' });
const controller = new AbortController();
let isReady = false;
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => controller.abort());
// Nobody waits for the lab any more before it is up: it would be left over.
process.on('disconnect', () => {
  if (!isReady) controller.abort();
});

try {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by labUp
  const options = JSON.parse(process.argv[2] ?? '') as LabOptions;
  await holdLab(options, {
    signal: controller.signal,
    logger,
    onProgress: (progress) => tell({ type: 'progress', progress }),
    onReady: (state) => {
      isReady = true;
      tell({ type: 'ready', state });
    },
  });
} catch (error) {
  logger.error({ err: error }, 'lab ended');
  const message = error instanceof Error ? error.message : String(error);
  tell({ type: 'failed', problem: problemOf(error), message });
  process.exitCode = 1;
}
if (process.connected) process.disconnect();

function problemOf(error: unknown): LabProblem {
  if (error instanceof LabError) return error.problem;
  return error instanceof ManifestError ? 'input' : 'failure';
}

function tell(message: LabMessage): void {
  if (process.connected) process.send?.(message);
}
