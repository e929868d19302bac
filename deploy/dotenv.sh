# Parser for .env files that follows docker compose. Sourced by ./run.
# shellcheck shell=bash

# read_dotenv FILE: exports each NAME=VALUE of the file. A name that is already in the environment keeps its value.
# Lines may begin with `export`. Comments begin with # at the start of a line, or after a value and white space. A value in
# single quotes is literal. In double quotes, the escapes \n, \r, \t, \", \\ and \$ are replaced. Syntax that compose reads
# differently (variables inside a value, values of several lines) is refused, because it would have another meaning here.
read_dotenv() {
    local file=$1 line number=0 name rest
    [[ -e $file ]] || return 0
    [[ -r $file ]] || fail "$file cannot be read."
    while IFS= read -r line || [[ -n $line ]]; do
        number=$((number + 1))
        ((number > 1)) || line=${line#$'\xef\xbb\xbf'}
        line=${line%$'\r'}
        [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
        if [[ ! $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*=[[:space:]]*(.*)$ ]]; then
            fail "$file, line $number, is not a setting; accepted: NAME=VALUE, export NAME=VALUE, or a comment that begins with #."
        fi
        name=${BASH_REMATCH[2]} rest=${BASH_REMATCH[3]}
        dotenv_value "$file, line $number: $name" "$rest"
        [[ -n ${!name+set} ]] || export "$name=$DOTENV_VALUE"
    done <"$file"
}

# dotenv_value PLACE TEXT: parses the text after the equals sign into DOTENV_VALUE.
dotenv_value() {
    local place=$1 text=$2 single="^'([^']*)'[[:space:]]*(#.*)?\$" double='^"(([^"\\]|\\.)*)"[[:space:]]*(#.*)?$'
    case $text in
    "'"*)
        [[ $text =~ $single ]] || fail "$place has no closing quote on the same line, or text after the quote."
        DOTENV_VALUE=${BASH_REMATCH[1]}
        ;;
    '"'*)
        [[ $text =~ $double ]] || fail "$place has no closing quote on the same line, or text after the quote."
        dotenv_unescape "$place" "${BASH_REMATCH[1]}"
        ;;
    *)
        [[ $text != '#'* ]] || text=''
        [[ ! $text =~ ^(.*[^[:space:]])?[[:space:]]+#.*$ ]] || text=${text%%[[:space:]]#*}
        DOTENV_VALUE=${text%"${text##*[![:space:]]}"}
        refuse_dollar "$place" "$DOTENV_VALUE"
        ;;
    esac
}

# dotenv_unescape PLACE TEXT: parses the text inside double quotes into DOTENV_VALUE.
dotenv_unescape() {
    local place=$1 text=$2 plain
    DOTENV_VALUE=''
    while [[ $text == *\\* ]]; do
        plain=${text%%\\*}
        refuse_dollar "$place" "$plain"
        text=${text#"$plain"\\}
        case $text in
        n*) plain+=$'\n' ;;
        r*) plain+=$'\r' ;;
        t*) plain+=$'\t' ;;
        [\"\\\$]*) plain+=${text:0:1} ;;
        *) plain+="\\${text:0:1}" ;;
        esac
        DOTENV_VALUE+=$plain text=${text:1}
    done
    refuse_dollar "$place" "$text"
    DOTENV_VALUE+=$text
}

refuse_dollar() {
    [[ ! $2 =~ \$[A-Za-z_{\$] ]] || fail "$1 contains another variable; accepted: a value in single quotes, which is literal."
}
