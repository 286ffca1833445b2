/** The command line as it could be typed again. */
export function typed(): string {
  return ["uffb", ...process.argv.slice(2)].map(quote).join(" ");
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
