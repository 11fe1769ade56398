/** A conntrack table without a kernel: connections come and go, `conntrack -L` prints them. */
import type { Argv, CommandResult, Run, RunOptions } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';

export class FakeConntrack {
  /** Dumps that were asked for, by family. */
  readonly dumps: string[] = [];
  isBroken = false;
  readonly #lines = new Map<string, string>();
  #ports = 40_000;

  /** `client,protocol:port,server`; answers what closes it. */
  open(member: string): () => void {
    const [client = '', service = '', server = ''] = member.split(',');
    const [protocol = '', port = ''] = service.split(':');
    const own = (this.#ports += 1);
    const line = `${protocol} 6 300 ESTABLISHED src=${client} dst=${server} sport=${own} dport=${port} src=${server} dst=${client} sport=${port} dport=${own} [ASSURED] mark=0 use=1\n`;
    this.#lines.set(line, client.includes(':') ? 'ipv6' : 'ipv4');
    return () => this.#lines.delete(line);
  }

  readonly run: Run = async (argv: Argv, options: RunOptions = {}): Promise<CommandResult> => {
    await Promise.resolve();
    const [program, verb, , family = ''] = argv;
    if (program !== 'conntrack' || verb !== '-L')
      throw new CommandError({ argv, exitCode: 2, stderr: 'unknown option' });
    this.dumps.push(family);
    if (this.isBroken) throw new CommandError({ argv, exitCode: 1, stderr: 'Operation failed' });
    const text = [...this.#lines].flatMap(([line, own]) => (own === family ? [line] : [])).join('');
    options.onStdout?.(text);
    return { stdout: options.onStdout === undefined ? text : '', stderr: '', durationMs: 1 };
  };
}
