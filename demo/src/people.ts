/** Who there is in the demo; the server makes them up. */

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly token: string;
}

export interface Demo {
  readonly users: readonly Person[];
  /** Of the app's back end: may change conversations, and end any call. */
  readonly operatorToken: string;
  /** All of them are in it. */
  readonly conversationId: string;
}

export async function fetchDemo(): Promise<Demo> {
  const response = await fetch('/demo.json');
  // Something between this page and the server may answer in its stead.
  const answer = (await response.json().catch(() => ({}))) as Demo & { readonly error?: string };
  if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status}.`);
  return answer;
}

/** A token of now: those of before a restart are worth nothing to the server. */
export async function fetchToken(userId: string): Promise<string> {
  const user = (await fetchDemo()).users.find(({ id }) => id === userId);
  if (user === undefined) throw new Error(`The server has nobody called ${userId} any more.`);
  return user.token;
}

export type Names = (userId: string) => string;

export function namesOf({ users }: Demo): Names {
  const names = new Map(users.map(({ id, name }) => [id, name]));
  return (userId) => names.get(userId) ?? userId;
}

/** “Ben”, “Ben and Cleo”, “Ben, Cleo and Dan”. */
export function list(names: readonly string[]): string {
  if (names.length < 2) return names[0] ?? '';
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
