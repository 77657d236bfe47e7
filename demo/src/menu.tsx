import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { Words } from './buttons.tsx';
import { Icon } from './icons.tsx';

/** A button with a panel. Escape and a click elsewhere close it. */
export function Menu({
  icon,
  label,
  short,
  children,
}: {
  readonly icon: Parameters<typeof Icon>[0]['name'];
  readonly label: string;
  /** Where there is little room. */
  readonly short: string;
  readonly children: ReactNode | ((close: () => void) => ReactNode);
}) {
  const [open, setOpen] = useState(false);
  const whole = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return;
    const key = ({ key }: KeyboardEvent) => {
      if (key !== 'Escape') return;
      setOpen(false);
      button.current?.focus();
    };
    const press = ({ target }: PointerEvent) => {
      if (!whole.current?.contains(target as Node)) setOpen(false);
    };
    document.addEventListener('keydown', key);
    document.addEventListener('pointerdown', press);
    return () => {
      document.removeEventListener('keydown', key);
      document.removeEventListener('pointerdown', press);
    };
  }, [open]);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <div className="menu" ref={whole}>
      <button
        ref={button}
        type="button"
        aria-expanded={open}
        aria-controls={id}
        onClick={() => setOpen(!open)}
      >
        <Icon name={icon} />
        <Words full={label} short={short} />
      </button>
      {open && (
        <section id={id} className="panel" aria-label={label}>
          {typeof children === 'function' ? children(close) : children}
        </section>
      )}
    </div>
  );
}
