"""What must survive a process: tables, and one file of queries per aggregate. SQL appears only here."""
