/**
 * Takes whoever uses a keyboard or a screen reader along: where the screen changes, or what had the focus is
 * gone, the focus goes to the page's `<main>` instead of the top of the page. Not at the first load.
 */
export function keepFocus(root: HTMLElement): void {
  let last: Element | null = null;
  let known: Element | null = null;
  document.addEventListener('focusin', ({ target }) => {
    last = target as Element;
  });
  new MutationObserver(() => {
    const main = document.querySelector('main');
    if (main === null) return;
    const changed = known !== null && main !== known;
    const lost = last !== null && !last.isConnected;
    known = main;
    // Whatever else has the focus keeps it: a ring that is about to be answered stays under the finger.
    if (document.activeElement !== document.body || !(changed || lost)) return;
    main.focus({ preventScroll: true });
  }).observe(root, { childList: true, subtree: true });
}
