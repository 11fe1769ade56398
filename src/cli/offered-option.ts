import { Option } from 'commander';

/** An option of which completion offers values, and whose reader (not commander) says what is wrong with another one. */
export class OfferedOption extends Option {
  readonly offered: readonly string[];

  constructor(flags: string, description: string, offered: readonly string[]) {
    super(flags, description);
    this.offered = offered;
  }
}
