/** A face for who shows none: always the same colour for the same person. */
export function Avatar({ id, name }: { readonly id: string; readonly name: string }) {
  const hue = ([...id].reduce((sum, letter) => sum * 31 + (letter.codePointAt(0) ?? 0), 7) * 137) % 360;
  return (
    <span className="avatar" style={{ '--hue': hue } as React.CSSProperties} aria-hidden="true">
      {[...name][0]}
    </span>
  );
}
