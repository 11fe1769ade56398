/**
 * One iptables-nft-restore that stays and takes transaction after transaction. A process for each costs its start and, worse, its end:
 * the kernel lets go of its netlink socket only after a grace period of RCU, about 10 ms. In a session a small transaction takes 0.5 ms.
 */
import type { Argv } from '../exec.ts';
import type { Sent, StandingProgramOptions } from '../standing-program.ts';
import { StandingProgram } from '../standing-program.ts';

/**
 * With --noflush it keeps the first 64 kB of its input until it has seen them all, to learn which caches it needs; from then on it
 * takes line by line. Comments fill that space; with --verbose it repeats comments, which tells how far it has come.
 */
const filling = `#${'-'.repeat(1022)}\n`.repeat(66);

export class RestoreSession {
  readonly #program: StandingProgram;
  #count = 0;

  /** `argv`: an iptables-restore with --noflush, without --verbose. */
  constructor({ argv, ...options }: Omit<StandingProgramOptions, 'opening'>) {
    const verbose: Argv = [...argv, '--verbose'];
    const ready = '# ready';
    this.#program = new StandingProgram({
      ...options,
      argv: verbose,
      opening: { text: `${filling}${ready}\n`, isLast: (line) => line === ready },
    });
  }

  /** `done`: it is in the kernel. See `StandingProgram.send` about trials. */
  commit(text: string, options: { readonly isTrial?: boolean } = {}): Promise<Sent> {
    const mark = `# ${(this.#count += 1)} done`;
    return this.#program.send({ text: `${text}${mark}\n`, isLast: (line) => line === mark }, options);
  }
}
