/** One builder at a time, over processes: `flock` on a file, which the kernel lets go when its holder ends. */
import { converse } from '../../src/backends/exec.ts';

/** Runs `body` while holding the lock of `file`; `onWait` is told when another process has it. Throws when flock cannot be run. */
export async function withLock<Result>(file: string, onWait: () => void, body: () => Promise<Result>): Promise<Result> {
  const waiting = setTimeout(onWait, 1000);
  // `cat` holds the lock: it ends with us, because its input does.
  let answer: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const holder = converse(['flock', '--no-fork', file, 'cat'], () => answer());
  holder.write('held\n');
  const failed = holder.exited.then(({ exitCode }) => {
    throw new Error(`flock ${file} ended with exit code ${exitCode ?? 'none'} before the work was done`);
  });
  // A conversation keeps no event loop waiting; the lock is worth waiting for.
  const alive = setInterval(() => undefined, 60_000);
  try {
    await Promise.race([held, failed]);
    clearTimeout(waiting);
    return await Promise.race([body(), failed]);
  } finally {
    clearTimeout(waiting);
    clearInterval(alive);
    failed.catch(() => undefined);
    holder.kill();
  }
}
