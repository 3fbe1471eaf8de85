#!/bin/sh
# Speaks SMTP on its standard input and output, as much as one client needs, and writes each mail to a file in the folder it is given.
folder=$1
carriage_return=$(printf '\r')
printf '220 here\r\n'
while IFS= read -r line; do
    case $line in
    DATA*)
        printf '354 go on\r\n'
        mail=$(mktemp "$folder/XXXXXX")
        while IFS= read -r line && [ "$line" != ".$carriage_return" ]; do
            printf '%s\n' "$line" >>"$mail"
        done
        # A mail that can be seen is whole.
        mv "$mail" "$mail.eml"
        printf '250 taken\r\n'
        ;;
    QUIT*)
        printf '221 gone\r\n'
        exit
        ;;
    *)
        printf '250 well\r\n'
        ;;
    esac
done
