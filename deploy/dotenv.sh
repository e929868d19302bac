# Reads a file of settings as docker compose does. Sourced by ./run.
# shellcheck shell=bash

# read_dotenv FILE: exports each NAME=VALUE of the file; a name that the environment has already keeps its value.
# Lines may begin with `export`. Comments begin with # at the start of a line, or behind white space after a value. A value in
# single quotes is taken as it stands; in double quotes \n, \r, \t, \", \\ and \$ are read. What compose reads in other ways
# (other variables inside a value, a value of several lines) is refused: it would mean something else here.
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
            fail "$file, line $number, is no setting; accepted: NAME=VALUE, export NAME=VALUE, or a comment that begins with #."
        fi
        name=${BASH_REMATCH[2]} rest=${BASH_REMATCH[3]}
        dotenv_value "$file, line $number: $name" "$rest"
        [[ -n ${!name+set} ]] || export "$name=$DOTENV_VALUE"
    done <"$file"
}

# dotenv_value PLACE TEXT: what stands behind the equals sign, read into DOTENV_VALUE.
dotenv_value() {
    local place=$1 text=$2 single="^'([^']*)'[[:space:]]*(#.*)?\$" double='^"(([^"\\]|\\.)*)"[[:space:]]*(#.*)?$'
    case $text in
    "'"*)
        [[ $text =~ $single ]] || fail "$place has no closing quote on its line, or text behind it."
        DOTENV_VALUE=${BASH_REMATCH[1]}
        ;;
    '"'*)
        [[ $text =~ $double ]] || fail "$place has no closing quote on its line, or text behind it."
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

# dotenv_unescape PLACE TEXT: the text of double quotes, read into DOTENV_VALUE.
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
    [[ ! $2 =~ \$[A-Za-z_{\$] ]] || fail "$1 names another variable; accepted: a value in single quotes, which is taken as it stands."
}
