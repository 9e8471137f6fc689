import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { PREFIX, Refused, me, passwordWanted, signIn, signOut, type Wanted } from "../api/client";
import { Problem } from "../parts/basics";
import { Dialog } from "../parts/dialog";
import { ForgotView } from "./links";

export function SignIn(): JSX.Element {
  const [error, setError] = useState<Refused | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [hasForgotten, setForgotten] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    try {
      await signIn(String(form.get("email")), String(form.get("password")));
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  if (hasForgotten) return <ForgotView onBack={() => setForgotten(false)} />;
  return (
    <main class="signin">
      <h1>Event Trigger</h1>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          E-mail
          <input name="email" type="text" inputMode="email" autocomplete="username" required autofocus />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        {error !== null && <Problem error={error} />}
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
      </form>
      <button type="button" class="plain" onClick={() => setForgotten(true)}>
        Forgotten password
      </button>
      <p class="quiet">
        The account is the API's own. Its pages are <a href={`${PREFIX}/api/docs`}>here</a>.
      </p>
    </main>
  );
}

/** Asks for the password above the page, which stays as it is: nothing that was typed is lost. */
export function PasswordAgain({ wanted }: { wanted: Wanted }): JSX.Element {
  const [error, setError] = useState<Refused | null>(null);
  const email = me.value?.email ?? "";
  const end = (isGiven: boolean): void => {
    passwordWanted.value = null;
    wanted.done(isGiven);
  };
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    try {
      await signIn(email, String(form.get("password")));
      end(true);
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused);
    }
  };
  const leave = (): void => {
    end(false);
    if (wanted.why === "expired") void signOut().catch(() => (me.value = null));
  };
  return (
    <Dialog title={wanted.why === "fresh" ? "Your password, please" : "Your session has ended"} onClose={leave}>
      <form onSubmit={(event) => void submit(event)}>
        <p>
          {wanted.why === "fresh"
            ? "This needs a password that was given within the last 15 minutes."
            : "Sign in again. What you have typed below stays as it is."}
        </p>
        <input type="hidden" autocomplete="username" value={email} />
        <label>
          Password of {email}
          <input name="password" type="password" autocomplete="current-password" required autofocus />
        </label>
        {error !== null && <Problem error={error} />}
        <p class="buttons">
          <button type="submit" class="primary">
            Sign in
          </button>
          <button type="button" onClick={leave}>
            {wanted.why === "fresh" ? "Cancel" : "Sign out"}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
