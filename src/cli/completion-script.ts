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

export interface Flag {
  /** With its dashes. */
  readonly name: string;
  readonly short?: string;
  readonly description: string;
  readonly choices: readonly string[];
  /** What must stand after it. */
  readonly takes: 'nothing' | 'value' | 'file';
}

export function completionScript(shell: Shell, program: CommandTree): string {
  switch (shell) {
    case 'bash':
      return bashScript(program);
    case 'zsh':
      return zshScript(program);
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

/**
 * The same flag of another command has other values. zsh runs this too: it has meanings of its own for `path` and `words`, and
 * takes a name after a colon for a modifier.
 */
function bashScript(program: CommandTree, name = `_${program.name}`): string {
  const commands = paths(program);
  const places = commands.map(({ path, command }) => {
    const offered = [
      ...command.children.map((child) => child.name),
      ...command.words,
      ...command.flags.map((flag) => flag.name),
    ];
    return `    '${path}') offered='${offered.join(' ')}' ;;`;
  });
  const parents = commands.flatMap(({ path, command }) => command.children.map((child) => `'${path} ${child.name}'`));
  const values = commands.flatMap(({ path, command }) =>
    command.flags.flatMap((flag) => {
      const patterns = [flag.name, ...(flag.short === undefined ? [] : [flag.short])].map((one) => `'${path} ${one}'`);
      const words = flag.choices.join(' ');
      if (flag.takes === 'file') return `    ${patterns.join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;`;
      return flag.choices.length === 0 ? [] : `    ${patterns.join('|')}) offered='${words}' ;;`;
    }),
  );
  return `${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} at='${program.name}' word offered=''
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD-1))}"; do
    case "$at $word" in
      ${parents.join('|')}) at="$at $word" ;;
    esac
  done
  case "$at" in
${places.join('\n')}
  esac
  case "$at $before" in
${values.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$offered" -- "$current"))
}
complete -o default -F ${name} ${program.name}
`;
}

/** zsh runs bash's completions; its own would say the same at three times the length. As a file of its own it is asked at once. */
function zshScript(program: CommandTree): string {
  const name = `_${program.name}_words`;
  return `#compdef ${program.name}
autoload -U +X bashcompinit && bashcompinit
${bashScript(program, name)}[ "$funcstack[1]" = _${program.name} ] && _bash_complete -o default -F ${name}
`;
}

function fishScript(program: CommandTree): string {
  const commands = paths(program);
  const parents = commands.flatMap(({ path, command }) => command.children.map((child) => `'${path} ${child.name}'`));
  const at = `__${program.name}_at`;
  const lines = commands.flatMap(({ path, command }) => {
    const start = `complete -c ${program.name} -n "${at} '${path}'"`;
    return [
      ...command.children.map((child) => `${start} -a ${child.name} -d ${quote(child.description)}`),
      ...command.words.map((word) => `${start} -a ${word}`),
      ...command.flags.map((flag) => `${start} ${fishFlag(flag)} -d ${quote(flag.description)}`),
    ];
  });
  return `function ${at}
  set -l at ${program.name}
  for word in (commandline -opc)[2..-1]
    switch "$at $word"
      case ${parents.join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = "$argv"
end
complete -c ${program.name} -f
${lines.join('\n')}
`;
}

function fishFlag({ name, short, choices, takes }: Flag): string {
  const names = `-l ${name.slice(2)}${short === undefined ? '' : ` -s ${short.slice(1)}`}`;
  if (choices.length > 0) return `${names} -x -a ${quote(choices.join(' '))}`;
  return takes === 'nothing' ? names : `${names} ${takes === 'file' ? '-r -F' : '-x'}`;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
