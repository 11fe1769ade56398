/** The preflight of a machine that has everything, in one program for the sets and one for the rules of each family. */
import { temporarySetName } from '../dataplane/names.ts';
import { tableInput } from '../dataplane/restore-input.ts';
import type { IpSetType } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { CommandError } from './exec.ts';
import { restoreArgv } from './iptables/iptables.ts';
import type { PreflightOptions } from './preflight.ts';
import { preflightFeatures, trialWrites } from './preflight-rules.ts';

export const setTypes: readonly IpSetType[] = ['hash:ip', 'hash:ip,port', 'hash:ip,port,ip', 'hash:net'];

/**
 * Whether all set types, matches and targets are there. Where one is not, it is not known which, and something of the trial may stay
 * behind for the thorough one to remove.
 */
export async function passesAtOnce(options: PreflightOptions): Promise<boolean> {
  const { run, families } = options;
  try {
    await run(['ipset', 'restore'], { input: families.map(setLines).join('') });
    const taken = await Promise.all(families.map((family) => takes(family, options)));
    if (taken.includes(false)) return false;
    await run(['ipset', 'restore'], {
      input: families.map((family) => `destroy ${temporarySetName(9, family)}\n`).join(''),
    });
    return true;
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

/** Rejects with CommandError, or says false, where something is missing. */
async function takes(family: IpFamily, { run, variant, attempt, ...scope }: PreflightOptions): Promise<boolean> {
  const text = trialText(family, scope);
  const isTaken = await attempt?.(family, text);
  if (isTaken !== undefined) return isTaken;
  await run(restoreArgv(family, variant), { input: text });
  return true;
}

/** Each type in turn; the last one stays for the rules. */
function setLines(family: IpFamily): string {
  const name = temporarySetName(9, family);
  const inet = family === 'ipv4' ? 'inet' : 'inet6';
  return setTypes.map((type) => `create ${name} ${type} family ${inet}\n`).join(`destroy ${name}\n`);
}

/** All tables in one input: nothing of it is to stay, so it need not be one transaction. */
function trialText(family: IpFamily, scope: Parameters<typeof preflightFeatures>[1]): string {
  const features = preflightFeatures(family, scope);
  const tables = [...new Set(features.map(({ table }) => table))];
  const writes = tables.flatMap((table) =>
    trialWrites(
      family,
      table,
      features.filter((feature) => feature.table === table),
    ),
  );
  return writes.map((write) => tableInput(write).text).join('');
}
