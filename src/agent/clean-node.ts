/** Everything of ours, off the node: of both iptables variants, because an earlier agent may have used the other one. */
import { run } from '../backends/exec.ts';
import { CommandError } from '../backends/exec.ts';
import type { IptablesVariant } from '../backends/iptables/variant.ts';
import { KernelBackend } from '../backends/kernel-backend.ts';
import { KernelWriter } from '../backends/kernel-writer.ts';
import { SysctlMemory } from './sysctl-memory.ts';

export interface CleanupOptions {
  readonly runDir: string;
  readonly iptablesBackend: IptablesVariant | 'auto';
  readonly services: boolean;
}

export interface CleanupReport {
  /** Writes to the kernel. */
  readonly removed: number;
  /** Settings that Sluice has changed, with their values before. */
  readonly sysctls: Readonly<Record<string, string>>;
}

export async function cleanNode({ runDir, iptablesBackend, services }: CleanupOptions): Promise<CleanupReport> {
  const variants = iptablesBackend === 'auto' ? (['nft', 'legacy'] as const) : [iptablesBackend];
  let removed = 0;
  for (const variant of variants) removed += await cleanVariant(variant, services, iptablesBackend === 'auto');
  return { removed, sysctls: await new SysctlMemory(runDir).read() };
}

async function cleanVariant(variant: IptablesVariant, services: boolean, mayLack: boolean): Promise<number> {
  const writer = new KernelWriter({ backend: new KernelBackend({ run, variant, ownership: { services } }) });
  try {
    return (await writer.cleanup()).writes;
  } catch (error) {
    // Asked for both, a machine that has one of them is clean of the other.
    if (mayLack && error instanceof CommandError && error.isMissing) return 0;
    throw error;
  }
}
