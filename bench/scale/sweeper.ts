export async function sweeper(_: readonly string[]): Promise<void> {}
