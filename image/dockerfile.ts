/** Reads image/Dockerfile, so that what it says about the image is written once: image/build.ts takes it from there. */

export interface ImageDescription {
  /** Of the instruction FROM. */
  readonly base: string;
  /** Argument lists of install.sh, in order; each makes one layer. */
  readonly steps: readonly (readonly string[])[];
  readonly labels: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
}

/** Where the Dockerfile mounts the context of the build. */
export const contextMount = '/context';

/** `values`: of the build arguments. Throws at an instruction that it does not know: then the archive would not be the same image. */
export function readDockerfile(text: string, values: Readonly<Record<string, string>>): ImageDescription {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const parsed = lines.map((line) => {
    const [, instruction = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    return { instruction, rest, filled: fillIn(rest, values) };
  });
  const all = (wanted: string): readonly string[] =>
    parsed.filter(({ instruction }) => instruction === wanted).map(({ filled }) => filled);
  const unknown = parsed.find(({ instruction }) => !knownInstructions.includes(instruction));
  if (unknown !== undefined) throw new Error(`Dockerfile: unknown instruction: ${unknown.instruction} ${unknown.rest}`);
  return {
    base: all('FROM')[0] ?? '',
    steps: all('RUN').map(stepOf),
    labels: Object.fromEntries(all('LABEL').map(pairOf)),
    environment: Object.fromEntries(all('ENV').map(pairOf)),
    entrypoint: listOf(all('ENTRYPOINT')),
    command: listOf(all('CMD')),
  };
}

const knownInstructions: readonly string[] = ['FROM', 'ARG', 'RUN', 'LABEL', 'ENV', 'ENTRYPOINT', 'CMD'];

function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(\w+)/g, (reference, name: string) => values[name] ?? reference);
}

function stepOf(command: string): readonly string[] {
  const prefix = `--mount=type=bind,target=${contextMount} sh ${contextMount}/install.sh `;
  if (!command.startsWith(prefix)) throw new Error(`Dockerfile: expected RUN ${prefix}STEP, got RUN ${command}`);
  return command.slice(prefix.length).split(' ');
}

function pairOf(text: string): readonly [string, string] {
  const [, key, value] = /^([\w.]+)="(.*)"$/.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new Error(`Dockerfile: expected KEY="VALUE", got ${text}`);
  return [key, value];
}

function listOf([text = '[]']: readonly string[]): readonly string[] {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed)) throw new Error(`Dockerfile: expected a list of words, got ${text}`);
  return parsed.map(String);
}
