export async function start(_: readonly string[]): Promise<void> {}
