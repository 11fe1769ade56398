/** A conntrack table without a kernel: connections come and go, the kernel's file and `conntrack -L` print them. */
import type { Argv, CommandResult, Run, RunOptions } from '../../src/backends/exec.ts';
import { conntrackFile } from '../../src/backends/conntrack/conversations.ts';
import { CommandError } from '../../src/backends/exec.ts';

export class FakeConntrack {
  /** Dumps that were made, by what was asked for. */
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
    const [program, verb, , family = 'all'] = argv;
    const isFile = program === 'cat' && verb === conntrackFile;
    if (!isFile && (program !== 'conntrack' || verb !== '-L'))
      throw new CommandError({ argv, exitCode: 2, stderr: 'unknown option' });
    if (this.isBroken) throw new CommandError({ argv, exitCode: 1, stderr: 'Operation failed' });
    this.dumps.push(family);
    const wanted = [...this.#lines].filter(([, own]) => isFile || own === family);
    const text = wanted.map(([line, own]) => (isFile ? `${own}     2 ${line}` : line)).join('');
    options.onStdout?.(text);
    return { stdout: options.onStdout === undefined ? text : '', stderr: '', durationMs: 1 };
  };
}
