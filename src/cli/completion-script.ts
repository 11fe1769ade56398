/** Completion scripts for bash, zsh and fish, from a tree of commands. Pure. */
export type Shell = (typeof shells)[number];
export const shells = ['bash', 'zsh', 'fish'] as const;

export interface CommandTree {
  readonly name: string;
  readonly description: string;
  readonly children: readonly CommandTree[];
  /** What may stand as the first argument. */
  readonly words: readonly string[];
  readonly flags: readonly Flag[];
}

interface Flag {
  /** With its dashes. */
  readonly name: string;
  readonly short?: string;
  readonly description: string;
  readonly choices: readonly string[];
}

export function completionScript(shell: Shell, program: CommandTree): string {
  switch (shell) {
    case 'bash':
      return bashScript(program);
    case 'zsh':
      // zsh runs bash's completions; its own would say the same at three times the length.
      return `#compdef ${program.name}\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(program)}`;
    case 'fish':
      return fishScript(program);
    default:
      return shell satisfies never;
  }
}

/** Every command with the words before it, `lab up` after `lab`. */
function paths(tree: CommandTree, before: readonly string[] = []): readonly { path: string; command: CommandTree }[] {
  const path = [...before, tree.name];
  return [{ path: path.join(' '), command: tree }, ...tree.children.flatMap((child) => paths(child, path))];
}

function bashScript(program: CommandTree): string {
  const commands = paths(program);
  const words = commands.map(({ path, command }) => {
    const offered = [
      ...command.children.map(({ name }) => name),
      ...command.words,
      ...command.flags.map(({ name }) => name),
    ];
    return `    '${path}') words='${offered.join(' ')}' ;;`;
  });
  const parents = commands.flatMap(({ path, command }) => command.children.map(({ name }) => `'${path} ${name}'`));
  const flags = commands.flatMap(({ command }) => command.flags).filter(({ choices }) => choices.length > 0);
  const values = new Map(
    flags.map(({ name, short, choices }) => {
      const pattern = short === undefined ? name : `${name}|${short}`;
      return [
        pattern,
        `    ${pattern}) COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$current")); return ;;`,
      ] as const;
    }),
  );
  return `_${program.name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} path='${program.name}' word words
  case "$before" in
${[...values.values()].join('\n')}
    --manifests|--run-dir|--config|--kubeconfig|--junit) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
      ${parents.join('|')}) path="$path $word" ;;
    esac
  done
  case "$path" in
${words.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _${program.name} ${program.name}
`;
}

function fishScript(program: CommandTree): string {
  const lines = [`complete -c ${program.name} -f`];
  for (const child of program.children) {
    lines.push(`complete -c ${program.name} -n __fish_use_subcommand -a ${child.name} -d ${quote(child.description)}`);
    const seen = `-n '__fish_seen_subcommand_from ${child.name}'`;
    for (const word of [...child.children.map(({ name }) => name), ...child.words]) {
      lines.push(`complete -c ${program.name} ${seen} -a ${word}`);
    }
    for (const flag of [...child.flags, ...child.children.flatMap(({ flags }) => flags)]) {
      const choices = flag.choices.length === 0 ? '' : ` -x -a ${quote(flag.choices.join(' '))}`;
      lines.push(
        `complete -c ${program.name} ${seen} -l ${flag.name.slice(2)}${choices} -d ${quote(flag.description)}`,
      );
    }
  }
  return `${[...new Set(lines)].join('\n')}\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
