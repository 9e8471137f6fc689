"""Mails to people about their accounts, stored in the transaction of what they tell of."""
