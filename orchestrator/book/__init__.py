"""From the readings of a book's pages to what is read aloud: functions of their arguments."""
