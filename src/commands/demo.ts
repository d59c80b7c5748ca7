export interface DemoCommandOptions { readonly stateDir: string; readonly cacheDir: string; readonly report: string; readonly install: boolean }
export async function runDemo(): Promise<void> {}
