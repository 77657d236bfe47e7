/** Who asks: the token's `sub` and its scopes. */
export interface Viewer {
  readonly userId: string;
  readonly scopes: ReadonlySet<string>;
  /** When the token runs out, milliseconds since the epoch. */
  readonly tokenExpiresAt: number;
}
