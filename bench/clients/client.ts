import type { Payload } from '../payloads.ts';
import type { LoadSocket } from '../socket.ts';

/** One end of the load, in the language of the server that carries it. */
export interface End {
  readonly socket: LoadSocket;
  /** The message of its signals to the end at that place, in parts with the number between them. */
  message(payload: Payload, to: number): readonly string[];
  /** What a message of the server is: the answer to its own signal, another's signal, or neither. Throws at a refusal. */
  read(message: Buffer): 'accepted' | 'signal' | 'neither';
}

/** Who knows each other: opens a group of so many, the ends by turns on these servers. */
export type OpenGroup = (urls: readonly string[], name: string, size: number) => Promise<readonly End[]>;

/** Every message of a server that has only one kind. */
export const always = () => 'signal' as const;
