export async function idle(_: readonly string[]): Promise<void> {}
