import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { BlockList } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { SETTINGS, type SettingName } from '../../src/config-settings.ts';
import { createDatabase } from '../support/database.ts';
import { endInstances, startInstance } from '../support/instance.ts';

/** The files that run Ringdown: the image, compose.yaml and the chart, as far as no engine is needed to tell. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'ringdown-deploy-'));
afterAll(async () => {
  await endInstances();
  rmSync(folder, { recursive: true, force: true });
});

/** A setting by its name or by its file's. */
function isSetting(name: string): boolean {
  const plain = name.replace(/_FILE$/, '') as SettingName;
  return plain in SETTINGS && (name === plain || 'secret' in SETTINGS[plain]);
}

describe('the image', () => {
  const dockerfile = read('Dockerfile');
  /** What it takes from the repository. */
  const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, list]) =>
    (list as string).split(' '),
  );

  it('gets what it copies, and nothing else of the repository', () => {
    const [all, ...allowed] = read('.dockerignore').trim().split('\n');
    expect(all).toBe('*');
    expect(allowed.sort()).toEqual(sources.map((path) => `!${path}`).sort());
  });

  it('compiles from that alone, runs healthy until SIGTERM, and leaves nothing behind', async () => {
    for (const path of sources) cpSync(join(ROOT, path), join(folder, path), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const build = /^RUN (npm run \S+)/m.exec(dockerfile)?.[1] as string;
    const script = JSON.parse(read('package.json')).scripts[build.replace('npm run ', '')] as string;
    const [program, ...args] = script.split(' ') as [string, ...string[]];
    await run(join(ROOT, 'node_modules/.bin', program), args, { cwd: folder });

    const compiled = () =>
      readdirSync(folder, { recursive: true }).filter((path) => !/^node_modules./.test(String(path)));
    const before = compiled();
    const main = join(folder, /^CMD \["node", "(.+)"\]$/m.exec(dockerfile)?.[1] as string);
    const stored = await createDatabase();
    onTestFinished(() => stored.drop());
    const instance = await startInstance(
      {
        NODE_ENV: 'production',
        DATABASE_URL: stored.url,
        JWT_SECRET: 'kZt0Qm4vJ8xLw2yBn6RfUq1Hc5sDgE7aPi9o',
      },
      main,
    );
    const check = /^ {2}CMD \["node", "-e", "(.+)"\]$/m.exec(dockerfile)?.[1] as string;
    const healthy = async (PORT: string) => {
      const child = spawn(process.execPath, ['-e', check], { env: { PORT }, stdio: 'ignore' });
      return (await once(child, 'exit'))[0];
    };
    expect(await healthy(new URL(instance.url).port)).toBe(0);
    instance.signal('SIGTERM');
    expect(await instance.ended).toBe(0);
    expect(await healthy(new URL(instance.url).port)).toBe(1);
    expect(compiled()).toEqual(before);
  }, 60_000);

  it('is not root, and shows the ports of the settings', () => {
    expect(dockerfile).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m);
    expect(dockerfile).toMatch(
      new RegExp(`^EXPOSE ${SETTINGS.PORT.default} ${SETTINGS.METRICS_PORT.default}$`, 'm'),
    );
  });
});

describe('compose.yaml', () => {
  interface Service {
    readonly image: string;
    readonly environment?: Readonly<Record<string, string>>;
    readonly secrets?: readonly string[];
    readonly volumes?: readonly string[];
    readonly networks?: { readonly default: { readonly ipv4_address: string } };
    readonly read_only?: boolean;
    readonly stop_grace_period?: string;
  }
  const text = read('deploy/compose.yaml');
  const { services, secrets } = parse(text, { merge: true }) as {
    services: Readonly<Record<string, Service>>;
    secrets: Readonly<Record<string, { file: string }>>;
  };
  const ours = Object.entries(services).filter(([, service]) => service.image === 'ringdown');
  const instances = ours.filter(([name]) => name !== 'migrate');

  it('tells its instances settings that exist, each secret from a file that is mounted', () => {
    expect(instances).toHaveLength(2);
    for (const [, { environment = {}, secrets: mounted = [], read_only }] of ours) {
      expect(Object.keys(environment).filter((name) => !isSetting(name))).toEqual([]);
      const files = Object.entries(environment).filter(([name]) => name.endsWith('_FILE'));
      expect(files.map(([, path]) => path.replace('/run/secrets/', '')).sort()).toEqual([...mounted].sort());
      expect(environment.NODE_ENV).toBe('production');
      expect(read_only).toBe(true);
    }
  });

  it('has its proxy send to the instances, and the instances trust the proxy alone', () => {
    const proxy = services.proxy as Service;
    expect(proxy.environment?.INSTANCES).toBe(
      instances.map(([name]) => `${name}:${SETTINGS.PORT.default}`).join(' '),
    );
    for (const [, { environment }] of instances)
      expect(environment?.TRUSTED_PROXIES).toBe(proxy.networks?.default.ipv4_address);
    // Docker gives no other container the proxy's address before the proxy starts.
    const [{ subnet, ip_range }] = parse(text).networks.default.ipam.config;
    const inRange = (range: string, address: string) => {
      const [network, bits] = range.split('/') as [string, string];
      const list = new BlockList();
      list.addSubnet(network, Number(bits));
      return list.check(address);
    };
    expect(inRange(subnet, proxy.networks?.default.ipv4_address as string)).toBe(true);
    expect(inRange(ip_range, proxy.networks?.default.ipv4_address as string)).toBe(false);
  });

  it('gives an instance longer to stop than it takes', () => {
    const limit = Number(/^const STOP_LIMIT = (\d+)_000;$/m.exec(read('src/main.ts'))?.[1]);
    for (const [, service] of instances)
      expect(Number.parseInt(service.stop_grace_period as string, 10)).toBeGreaterThan(limit);
  });

  it('mounts files that are there, and has no default for what is the deployment’s', () => {
    for (const { volumes = [] } of Object.values(services)) {
      for (const source of volumes.map((volume) => volume.split(':')[0] as string))
        if (source.startsWith('.')) expect(() => read(join('deploy', source))).not.toThrow();
    }
    const asked = new Set([...text.matchAll(/(?<!\$)\$\{(\w+):\?/g)].map(([, name]) => name));
    const used = new Set([...text.matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, name]) => name));
    const shown = new Set([...read('deploy/env.example').matchAll(/^(\w+)=/gm)].map(([, name]) => name));
    expect(used).toEqual(asked);
    expect(shown).toEqual(asked);
    expect(text).not.toMatch(/\$\{\w+:?-/);
  });

  it('has each secret made by secrets.sh, once, and production starts on them', async () => {
    const scratch = join(folder, 'made');
    mkdirSync(scratch);
    cpSync(join(ROOT, 'deploy/secrets.sh'), join(scratch, 'secrets.sh'));
    await run('sh', ['secrets.sh'], { cwd: scratch });
    const made = () =>
      Object.fromEntries(
        readdirSync(join(scratch, 'secrets')).map((name) => [
          name,
          readFileSync(join(scratch, 'secrets', name), 'utf8'),
        ]),
      );
    const first = made();
    expect(Object.keys(first).sort()).toEqual(Object.keys(secrets).sort());
    await run('sh', ['secrets.sh'], { cwd: scratch });
    expect(made()).toEqual(first);
    for (const [, { environment }] of instances) {
      const env = Object.entries(environment as object).map(([name, value]) => [
        name,
        value
          .replace('/run/secrets', join(scratch, 'secrets'))
          .replace(/\$\{\w+(:\?[^}]*)?\}/g, 'https://a.example'),
      ]);
      env.push(['TURN_URLS', 'turn:turn.example.com:3478']);
      const { database, redisUrl } = loadConfig(Object.fromEntries(env));
      expect(new URL(database.url as string).username).toBe('ringdown_app');
      expect(redisUrl).toContain(first.redis_password?.trim());
    }
  });
});

describe('the chart', () => {
  const CHART = 'deploy/helm/ringdown';
  const values = parse(read(`${CHART}/values.yaml`));
  const templates = readdirSync(join(ROOT, CHART, 'templates')).map(
    (name) => [name, read(`${CHART}/templates/${name}`)] as const,
  );

  it.each(templates)('%s uses values and parts that exist, and closes what it opens', (_, text) => {
    for (const [, path] of text.matchAll(/\.Values\.([\w.]+)/g)) {
      const found = (path as string).split('.').reduce((value, key) => value?.[key], values);
      expect(found, path).toBeDefined();
    }
    const parts = new Set(
      templates.flatMap(([, all]) => [...all.matchAll(/define "([^"]+)"/g)].map(([, name]) => name)),
    );
    for (const [, name] of text.matchAll(/include "([^"]+)"/g)) expect(parts).toContain(name);
    const actions = [...text.matchAll(/\{\{-?\s*(\w+)?[^{}]*\}\}/g)].map(([, word]) => word);
    expect(text.match(/\{\{/g)?.length ?? 0).toBe(actions.length);
    const opened = actions.filter((word) => ['if', 'range', 'with', 'define'].includes(word as string));
    expect(actions.filter((word) => word === 'end')).toHaveLength(opened.length);
  });

  it('uses every value, and names settings that exist', () => {
    const all = templates.map(([, text]) => text).join('\n');
    const leaves = (value: unknown, path: string): string[] =>
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      !all.includes(`.Values.${path} `)
        ? Object.entries(value).flatMap(([key, part]) => leaves(part, path ? `${path}.${key}` : key))
        : [path];
    for (const path of leaves(values, '')) expect(all, path).toMatch(new RegExp(`\\.Values\\.${path}\\b`));
    expect(Object.keys(values.settings).filter((name) => !isSetting(name))).toEqual([]);
    expect(values.secret.keys.filter((name: string) => !isSetting(`${name}_FILE`))).toEqual([]);
    const own = [...all.matchAll(/\{ name: ([A-Z_]+), value: '?([^'}\s]+)'? \}/g)];
    expect(Object.fromEntries(own.map(([, name, value]) => [name, value]))).toMatchObject({
      NODE_ENV: 'production',
      PORT: SETTINGS.PORT.default,
      METRICS_PORT: SETTINGS.METRICS_PORT.default,
    });
    expect(own.map(([, name]) => name as string).filter((name) => !isSetting(name))).toEqual([]);
  });

  it('is of the same version as the server', () => {
    const { appVersion } = parse(read(`${CHART}/Chart.yaml`));
    expect(appVersion).toBe(JSON.parse(read('package.json')).version);
    expect(values.image.tag).toBe(appVersion);
  });
});

describe('the documents', () => {
  it.each(['docs/production.md', 'docs/alerts.md', 'SECURITY.md'])(
    '%s leads to files that are there',
    (path) => {
      for (const [, link] of read(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)[^)]*\)/g)) {
        expect(() => readFileSync(join(ROOT, dirname(path), link as string)), link).not.toThrow(/ENOENT/);
      }
      for (const [name] of read(path).matchAll(/\b[A-Z]+(?:_[A-Z]+)+(?==)/g)) {
        // psql's own.
        if (name === 'ON_ERROR_STOP') continue;
        expect(isSetting(name) || read('deploy/env.example').includes(name), name).toBe(true);
      }
    },
  );
});
