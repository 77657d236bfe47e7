import { SETTINGS, type SettingName, type SettingValues } from './config-settings.ts';
import type { Sifted } from './config-values.ts';
import type { IceServer } from './graphql/services.ts';

/** The settings of the group ICE, put together: what is valid is used, whatever becomes of the rest. */

export interface IceConfig {
  /** With fixed credentials. */
  readonly servers: readonly IceServer[];
  /** Those for which credentials are made; null: none. */
  readonly turn: TurnConfig | null;
  /** What was configured and left out, without any value. Empty with ICE_STRICT: then it is a ConfigError. */
  readonly problems: readonly IceProblem[];
}

export interface TurnConfig {
  /** At least one; RFC 7065. */
  readonly urls: readonly string[];
  /** At least one; the first one signs. */
  readonly secrets: readonly string[];
  readonly lifetimeMs: number;
}

export interface IceProblem {
  readonly setting: SettingName;
  readonly problem: string;
}

/** A setting that is not there, or could not be read and is reported elsewhere, counts as empty. */
export function iceConfigOf(values: Partial<SettingValues>): IceConfig {
  const problems: IceProblem[] = [];
  const report = (setting: SettingName, what: string) =>
    problems.push({ setting, problem: `${what}; allowed: ${SETTINGS[setting].allowed}` });
  const valid = <T>(setting: SettingName, sifted: Sifted<readonly T[]> | null | undefined): readonly T[] => {
    for (const problem of sifted?.problems ?? []) report(setting, problem);
    return sifted?.valid ?? [];
  };
  const servers = valid('ICE_SERVERS', values.ICE_SERVERS);
  const urls = valid('TURN_URLS', values.TURN_URLS);
  const secrets = valid('TURN_SECRETS', values.TURN_SECRETS);
  if (values.TURN_URLS === null && values.TURN_SECRETS != null) {
    report('TURN_URLS', 'is not set while TURN_SECRETS is');
  }
  if (values.TURN_SECRETS === null && values.TURN_URLS != null) {
    report('TURN_SECRETS', 'is not set while TURN_URLS is');
  }
  const turn =
    urls.length > 0 && secrets.length > 0
      ? { urls, secrets, lifetimeMs: values.TURN_CREDENTIAL_LIFETIME ?? 0 }
      : null;
  return { servers, turn, problems };
}

/** Whether a call can go on where a network lets nothing but a relay through. */
export function hasTurn({ servers, turn }: IceConfig): boolean {
  return turn !== null || servers.some(({ urls }) => urls.some((url) => /^turn/i.test(url)));
}

/** What `video_turn_config_valid` says: there is something, and all that was configured is valid. */
export function isValid({ servers, turn, problems }: IceConfig): boolean {
  return problems.length === 0 && (turn !== null || servers.length > 0);
}
