/** What a lab needs of the machine, asked before anything is made. */
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { run } from '../backends/exec.ts';
import type { Cidr } from '../lib/ip.ts';
import { cidrContains, cidrOf, formatCidr, parseCidr, parseIp } from '../lib/ip.ts';
import { LabError } from './lab-error.ts';

/** Program -> the Debian package that has it. */
const programs: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  mount: 'mount',
  nsenter: 'util-linux',
  tee: 'coreutils',
};

/** Throws a LabError that names what is missing. */
export async function checkMachine(): Promise<void> {
  if (process.platform !== 'linux')
    throw new LabError('machine', 'a lab needs Linux: it is made of network namespaces');
  if (process.getuid?.() !== 0) throw new LabError('machine', 'a lab needs root: it makes network namespaces');
  for (const [program, debianPackage] of Object.entries(programs)) {
    if (await isOnPath(program)) continue;
    throw new LabError('machine', `program not found: ${program} (Debian package ${debianPackage})`);
  }
}

/** Throws a LabError where a network of the lab is one that the machine has a route to. */
export async function refuseOverlap(networks: readonly Cidr[]): Promise<void> {
  const routes = [...(await routesOf('-4')), ...(await routesOf('-6'))];
  for (const network of networks) {
    const route = routes.find((candidate) => overlaps(candidate, network));
    if (route === undefined) continue;
    throw new LabError(
      'input',
      `the lab's network ${formatCidr(network)} overlaps the machine's route ${formatCidr(route)}: ` +
        'choose other addresses in the manifests (Node podCIDR and addresses, Pod podIP, Service clusterIP)',
    );
  }
}

/** Main table; default routes and their halves (as VPNs write them) overlap everything and mean nothing here. */
async function routesOf(family: '-4' | '-6'): Promise<readonly Cidr[]> {
  const { stdout } = await run(['ip', '-json', family, 'route', 'show', 'table', 'main']);
  const parsed: unknown = JSON.parse(stdout.trim() === '' ? '[]' : stdout);
  if (!Array.isArray(parsed)) throw new Error('ip -json route: expected a list');
  return parsed.flatMap((route: unknown) => destinationOf(route) ?? []).filter(({ prefixLength }) => prefixLength > 1);
}

function destinationOf(route: unknown): Cidr | undefined {
  if (typeof route !== 'object' || route === null || !('dst' in route) || typeof route.dst !== 'string')
    return undefined;
  const address = parseIp(route.dst);
  return address === undefined ? parseCidr(route.dst) : cidrOf(address, address.includes(':') ? 128 : 32);
}

function overlaps(left: Cidr, right: Cidr): boolean {
  return left.prefixLength <= right.prefixLength
    ? cidrContains(left, right.address)
    : cidrContains(right, left.address);
}

async function isOnPath(program: string): Promise<boolean> {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    try {
      await access(join(directory, program), constants.X_OK);
      return true;
    } catch {
      // Not here: the next directory may have it.
    }
  }
  return false;
}
