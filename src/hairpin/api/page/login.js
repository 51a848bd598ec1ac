/* Trades the token for a cookie that no script can read; the token is kept nowhere. */

const form = document.getElementById("login");
const token = document.getElementById("token");
const said = document.getElementById("said");

form.addEventListener("submit", async event => {
  event.preventDefault();
  said.hidden = true;
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: token.value }),
    });
    if (answer.ok) return location.reload();
    say((await answer.json()).detail);
  } catch {
    say("The server does not answer.");
  }
});

function say(text) {
  said.textContent = text;
  said.hidden = false;
  token.select();
}
