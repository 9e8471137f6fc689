// What links of mails lead to: a new password, and an invitation. Their token is after `#`.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { HOME, Refused, api, loadMe, me, signIn } from "../api/client";
import { Problem } from "../parts/basics";

const token = location.hash.slice(1); // read once: it must not stay in the address

if (token !== "") history.replaceState(null, "", location.pathname);

interface Sent {
  error: Refused | null;
  isDone: boolean;
  submit: (event: SubmitEvent) => void;
}

/** Sends a form, and keeps its refusal, or that it was taken. */
function useForm(send: (form: FormData) => Promise<void>): Sent {
  const [error, setError] = useState<Refused | null>(null);
  const [isDone, setDone] = useState(false);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    send(new FormData(event.currentTarget as HTMLFormElement))
      .then(() => setDone(true))
      .catch((refused: unknown) => {
        if (!(refused instanceof Refused)) throw refused;
        setError(refused);
      });
  };
  return { error, isDone, submit };
}

function Small({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <main class="signin">
      <h1>{title}</h1>
      {children}
    </main>
  );
}

const NewPassword = (): JSX.Element => (
  <label>
    New password, 12 characters or more
    <input name="password" type="password" autocomplete="new-password" minLength={12} maxLength={128} required />
  </label>
);

/** Sets a new password with the token of a mail. */
export function ResetView(): JSX.Element {
  const { error, isDone, submit } = useForm(async (form) => {
    await api.POST("/auth/reset", { body: { token, new: String(form.get("password")) } });
  });
  if (isDone) {
    return (
      <Small title="The password is set">
        <p>All logins have ended. Your API keys stay.</p>
        <p>
          <a class="button primary" href={`${HOME}/`}>
            Sign in
          </a>
        </p>
      </Small>
    );
  }
  return (
    <Small title="Set a new password">
      <form onSubmit={submit}>
        <NewPassword />
        {error !== null && <Problem error={error} />}
        <button type="submit" class="primary">
          Set the password
        </button>
      </form>
    </Small>
  );
}

/** Joins a project with the token of an invitation, with this login or with a new account. */
export function InvitationView(): JSX.Element {
  const { error, isDone, submit } = useForm(async (form) => {
    if (me.value !== null) {
      await api.POST("/invitations/accept", { body: { token } });
    } else {
      const [email, password] = [String(form.get("email")), String(form.get("password"))];
      await api.POST("/invitations/accept", { body: { token, email, password } });
      await signIn(email, password);
    }
    await loadMe();
  });
  if (isDone) {
    return (
      <Small title="You are a member">
        <p>
          <a class="button primary" href={`${HOME}/`}>
            Open the console
          </a>
        </p>
      </Small>
    );
  }
  return (
    <Small title="Join a project">
      <form onSubmit={submit}>
        {me.value === null ? (
          <>
            <p class="quiet">
              This makes an account. If you have one, <a href={`${HOME}/`}>sign in</a> first, and follow the link again.
            </p>
            <label>
              E-mail
              <input name="email" type="email" autocomplete="username" required />
            </label>
            <NewPassword />
          </>
        ) : (
          <p>You join as {me.value?.email}.</p>
        )}
        {error !== null && <Problem error={error} />}
        <button type="submit" class="primary">
          Join
        </button>
      </form>
    </Small>
  );
}

/** Asks for a link by mail; the answer is the same for every address. */
export function ForgotView({ onBack }: { onBack: () => void }): JSX.Element {
  const { error, isDone, submit } = useForm(async (form) => {
    await api.POST("/auth/forgot", { body: { email: String(form.get("email")) } });
  });
  return (
    <Small title="Forgotten password">
      {isDone ? (
        <p role="status">If there is an account with this address, a link is on its way to it.</p>
      ) : (
        <form onSubmit={submit}>
          <label>
            E-mail
            <input name="email" type="text" inputMode="email" autocomplete="username" required />
          </label>
          {error !== null && <Problem error={error} />}
          <button type="submit" class="primary">
            Send a link
          </button>
        </form>
      )}
      <button type="button" class="plain" onClick={onBack}>
        Back to signing in
      </button>
    </Small>
  );
}
