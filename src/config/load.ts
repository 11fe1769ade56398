/** Joins flags, environment, file and defaults into one Config; the first of them that names a key wins. */
import { readFileSync } from 'node:fs';
import { LineCounter, isMap, isScalar, parseDocument } from 'yaml';
import { ConfigError } from './config-error.ts';
import { environmentNameOf, flagOf, valueOfText } from './option-text.ts';
import { configKeys, configSchema, optionShape } from './schema.ts';
import type { Config, ConfigKey } from './schema.ts';

export interface ConfigSources {
  /** By key; `true` where a flag was given without a value. Flags that were not given are absent. */
  readonly flags: Readonly<Partial<Record<ConfigKey, string | boolean>>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Configuration file (`--config`); else SLUICE_CONFIG. */
  readonly file?: string;
}

/** One value as one source gives it. */
interface Setting {
  readonly key: ConfigKey;
  readonly value: unknown;
  /** `--http-port`, `SLUICE_HTTP_PORT`, `sluice.yaml:3: httpPort` */
  readonly place: string;
}

const fileVariable = 'SLUICE_CONFIG';
/** Of this program too, and no setting of the agent: the second is the lab's. */
const otherVariables: readonly string[] = [fileVariable, 'SLUICE_LAB_RUN_DIR'];

/** The configuration, or a ConfigError that names every problem of every source. */
export function loadConfig(sources: ConfigSources): Config {
  const problems: string[] = [];
  const file = sources.file ?? sources.environment[fileVariable];
  const settings = [
    ...(file === undefined ? [] : fileSettings(file, problems)),
    ...environmentSettings(sources.environment, problems),
    ...flagSettings(sources.flags),
  ];
  const chosen: Partial<Record<ConfigKey, unknown>> = {};
  for (const setting of settings) {
    problems.push(...problemsOf(setting));
    chosen[setting.key] = setting.value;
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const config = configSchema.parse(chosen);
  const conflict = conflictIn(config);
  if (conflict !== undefined) throw new ConfigError([conflict]);
  return config;
}

function flagSettings(flags: ConfigSources['flags']): readonly Setting[] {
  return configKeys.flatMap((key) => {
    const text = flags[key];
    if (text === undefined) return [];
    return [{ key, value: valueOfText(optionShape(key), String(text)), place: flagOf(key) }];
  });
}

function environmentSettings(environment: ConfigSources['environment'], problems: string[]): readonly Setting[] {
  const keys = new Map(configKeys.map((key) => [environmentNameOf(key), key]));
  const settings: Setting[] = [];
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith('SLUICE_') || text === undefined) continue;
    if (otherVariables.includes(name) || isServiceLink(name, text)) continue;
    const key = keys.get(name);
    if (key === undefined) problems.push(`${name}: unknown setting; known are ${[...keys.keys()].join(', ')}`);
    else settings.push({ key, value: valueOfText(optionShape(key), text), place: name });
  }
  return settings;
}

/** kubelet gives every container the variables of the Services in its namespace: a Service named `sluice` or `sluice-http` is no setting. */
function isServiceLink(name: string, text: string): boolean {
  return (
    /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/.test(name) || /^(tcp|udp|sctp):\/\//.test(text)
  );
}

function fileSettings(file: string, problems: string[]): readonly Setting[] {
  const text = readConfigFile(file);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  for (const error of document.errors) {
    problems.push(`${file}:${lineCounter.linePos(error.pos[0]).line}: ${error.message.split('\n')[0]}`);
  }
  const root = document.contents;
  if (document.errors.length > 0 || root === null) return [];
  if (!isMap(root)) {
    problems.push(`${file}:1: expected a mapping of settings, such as "logLevel: debug"`);
    return [];
  }
  return root.items.flatMap((pair) => {
    const name = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
    const offset = isScalar(pair.key) ? pair.key.range?.[0] : undefined;
    const place = `${file}:${lineCounter.linePos(offset ?? 0).line}: ${name}`;
    const key = configKeys.find((known) => known === name);
    if (key === undefined) {
      problems.push(`${place}: unknown setting; known are ${configKeys.join(', ')}`);
      return [];
    }
    return [{ key, value: document.toJS({ maxAliasCount: 10 })[name], place }];
  });
}

function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError([`${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`], {
      cause: error,
    });
  }
}

function problemsOf({ key, value, place }: Setting): readonly string[] {
  const result = configSchema.shape[key].safeParse(value);
  return (result.error?.issues ?? []).map((issue) => {
    const item = issue.path.length > 0 && Array.isArray(value) ? value[Number(issue.path[0])] : value;
    return `${place}: ${expectation(key, issue.message)}, got ${JSON.stringify(item) ?? 'nothing'}`;
  });
}

/** zod's own words, without its opening. */
function expectation(key: ConfigKey, message: string): string {
  const { kind, choices } = optionShape(key);
  if (choices.length > 0) return `expected ${kind === 'list' ? 'a list of ' : ''}${choices.join(' or ')}`;
  if (kind === 'boolean') return 'expected true or false';
  return message
    .replace(/^Invalid input: /, '')
    .replace(/^Too (small|big): expected number to be /, 'expected a number ');
}

function conflictIn(config: Config): string | undefined {
  if (config.manifests !== undefined && config.kubeconfig !== undefined) {
    return 'manifests and kubeconfig: both are given, expected one source of the cluster';
  }
  if (config.localTrafficDetector === 'interfacePrefix' && config.interfacePrefixes.length === 0) {
    return 'localTrafficDetector: interfacePrefix needs interfacePrefixes, got none';
  }
  if (config.natOutgoing && config.clusterCidrs.length === 0) {
    return 'natOutgoing: needs clusterCidrs, to know what is outside of the cluster, got none';
  }
  return undefined;
}
