/** Tries everything that will be used on throw-away objects, and names what this machine lacks. */
import { temporarySetName } from '../dataplane/names.ts';
import type { TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { CommandError, isOnPath } from './exec.ts';
import type { Argv, Run } from './exec.ts';
import { RefusedError } from './backend.ts';
import type { IptablesVariant } from './iptables/variant.ts';
import { programName } from './iptables/variant.ts';
import { KernelBackend } from './kernel-backend.ts';
import { passesAtOnce, setTypes } from './preflight-at-once.ts';
import { preflightChain, preflightFeatures, trialWrites } from './preflight-rules.ts';
import type { Feature, PreflightScope } from './preflight-rules.ts';

export interface PreflightOptions extends PreflightScope {
  readonly run: Run;
  readonly variant: IptablesVariant;
  readonly families: readonly IpFamily[];
  /** Whether a program that stays has had its text taken by the kernel. Absent or undefined: a program is run for it. */
  readonly attempt?: (family: IpFamily, text: string) => Promise<boolean | undefined>;
}

export interface Missing {
  readonly kind: 'program' | 'set-type' | 'feature';
  /** `ipset`, `hash:net`, `match physdev`. */
  readonly name: string;
  /** One sentence for people: what is missing, where, what it said. */
  readonly message: string;
}

/** Empty: the machine has all that is needed. Nothing of the trial stays behind. */
export async function preflight(options: PreflightOptions): Promise<readonly Missing[]> {
  const { run, variant, families } = options;
  const others = [...savePrograms(variant, families), ...otherPrograms].filter(([program]) => !isOnPath(program));
  const [untried, isComplete] = await Promise.all([missingPrograms(run, others), passesAtOnce(options)]);
  if (isComplete) return untried;
  const programs = await missingPrograms(run, neededPrograms(variant, families));
  for (const family of families) await removeLeftovers(options, family);
  if (programs.length > 0) return programs;
  const missing: Missing[] = [];
  for (const family of families) {
    missing.push(...(await missingSetTypes(run, family)));
    missing.push(...(await missingFeatures(options, family)));
  }
  return missing;
}

/** Program to the first line it says about its version; absent: it is not there. */
export async function programVersions(run: Run, variant: IptablesVariant): Promise<ReadonlyMap<string, string>> {
  const programs = [...neededPrograms(variant, ['ipv4', 'ipv6']), ...optionalPrograms];
  const versions = await Promise.all(programs.map(async (argv) => [argv[0], await versionOf(run, argv)] as const));
  return new Map(
    versions.flatMap(([program, version]) => (version === undefined ? [] : [[program, version] as const])),
  );
}

/** Drift is found sooner with them. */
const optionalPrograms: readonly Argv[] = [
  ['nft', '--version'],
  ['stdbuf', '--version'],
];

/** No trial runs them. */
const otherPrograms: readonly Argv[] = [
  ['ip', '-V'],
  ['bridge', '-V'],
  ['conntrack', '--version'],
];

function savePrograms(variant: IptablesVariant, families: readonly IpFamily[]): readonly Argv[] {
  return families.map((family) => [programName(family, variant, 'save'), '--version']);
}

function neededPrograms(variant: IptablesVariant, families: readonly IpFamily[]): readonly Argv[] {
  const restore = families.map((family): Argv => [programName(family, variant, 'restore'), '--version']);
  return [...restore, ...savePrograms(variant, families), ['ipset', 'version'], ...otherPrograms];
}

async function missingPrograms(run: Run, programs: readonly Argv[]): Promise<readonly Missing[]> {
  const found = await Promise.all(
    programs.map(async (argv) => ({ name: argv[0], version: await versionOf(run, argv) })),
  );
  return found
    .filter(({ version }) => version === undefined)
    .map(({ name }) => ({ kind: 'program', name, message: `program ${name} is not on this machine` }));
}

/** A program that is there but fails (no privilege) is there. */
export async function versionOf(run: Run, argv: Argv): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(argv);
    return (stdout + stderr).split('\n')[0]?.trim() ?? '';
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.isMissing || error.stderr.includes('No such file or directory') ? undefined : '';
  }
}

/** A preflight that failed or was killed has left its set, and perhaps a chain that keeps it: the trial would take that for a missing set type. */
async function removeLeftovers({ run, variant, ...scope }: PreflightOptions, family: IpFamily): Promise<void> {
  const destroy: Argv = ['ipset', '-exist', 'destroy', temporarySetName(9, family)];
  const isInUse = await run(destroy).then(
    () => false,
    () => true,
  );
  if (!isInUse) return;
  const backend = new KernelBackend({ run, variant, ownership: { services: false } });
  for (const table of new Set(preflightFeatures(family, scope).map((feature) => feature.table))) {
    // What cannot be removed is told of by the trial.
    await backend.apply({ kind: 'remove-chains', family, table, names: [preflightChain] }).catch(() => undefined);
  }
  await run(destroy).catch(() => undefined);
}

async function missingSetTypes(run: Run, family: IpFamily): Promise<readonly Missing[]> {
  const name = temporarySetName(9, family);
  const missing: Missing[] = [];
  for (const type of setTypes) {
    try {
      await run(['ipset', '-exist', 'destroy', name]);
      await run(['ipset', 'create', name, type, 'family', family === 'ipv4' ? 'inet' : 'inet6']);
      await run(['ipset', 'destroy', name]);
    } catch (error) {
      const message = `ipset type ${type} does not work for ${familyNames[family]}: ${reasonOf(error)}`;
      missing.push({ kind: 'set-type', name: type, message });
    }
  }
  return missing;
}

/** All features of a table at once; one by one only where that fails. */
async function missingFeatures(options: PreflightOptions, family: IpFamily): Promise<readonly Missing[]> {
  const { run, variant } = options;
  const backend = new KernelBackend({ run, variant, ownership: { services: false } });
  const set = temporarySetName(9, family);
  await run(['ipset', '-exist', 'create', set, 'hash:net', 'family', family === 'ipv4' ? 'inet' : 'inet6']).catch(
    () => undefined, // a missing set type has its own message
  );
  const features = preflightFeatures(family, options);
  const missing: Missing[] = [];
  for (const table of new Set(features.map((feature) => feature.table))) {
    const ofTable = features.filter((feature) => feature.table === table);
    if ((await tryFeatures(backend, family, table, ofTable)) === undefined) continue;
    for (const feature of ofTable) {
      const reason = await tryFeatures(backend, family, table, [feature]);
      if (reason === undefined) continue;
      const place = `${familyNames[family]} table ${table} (iptables-${variant})`;
      const message = `iptables ${feature.name} does not work in the ${place}: ${reason}`;
      missing.push({ kind: 'feature', name: feature.name, message });
    }
  }
  await run(['ipset', '-exist', 'destroy', set]).catch(() => undefined);
  return missing;
}

/** Why the kernel does not take them; undefined: it does. */
async function tryFeatures(
  backend: KernelBackend,
  family: IpFamily,
  table: TableName,
  features: readonly Feature[],
): Promise<string | undefined> {
  try {
    for (const write of trialWrites(family, table, features)) await backend.apply(write);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

const familyNames: Readonly<Record<IpFamily, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

function reasonOf(error: unknown): string {
  if (error instanceof RefusedError) return error.message;
  if (error instanceof CommandError) return error.stderr.trim().replaceAll('\n', ' ') || error.message;
  throw error;
}
