import type { ComponentProps } from 'react';

/** A button that can't be used for a while, and keeps the keyboard's focus: `disabled` would drop it. */
export function Action({
  off,
  onClick,
  ...rest
}: Omit<ComponentProps<'button'>, 'type' | 'onClick' | 'disabled'> & {
  readonly off: boolean;
  readonly onClick: () => void;
}) {
  return <button {...rest} type="button" aria-disabled={off} onClick={() => !off && onClick()} />;
}

/** What a button says; where there is little room a word of it, under the icon. */
export function Words({ full, short }: { readonly full: string; readonly short: string }) {
  return (
    <>
      <span className="full">{full}</span>
      <span className="short" aria-hidden="true">
        {short}
      </span>
    </>
  );
}

/** What is left to do where the server has refused this page. A call that it is in is entered again. */
export function LoadAgain() {
  return (
    <button type="button" onClick={() => location.reload()}>
      Load the page again
    </button>
  );
}
